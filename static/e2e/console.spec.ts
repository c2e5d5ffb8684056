import { expect, test } from '@playwright/test'
import { onAir, say } from './crew'
import { arrive, look } from './people'

test('the assistant runs a room from the console', async ({ browser }) => {
  const session = await onAir(browser, '中控台的一场，名字很长很长很长很长很长很长很长很长很长很长很长')
  const buyer = await arrive(browser, 'phone', 'buyer1')
  const desk = await arrive(browser, 'desk', 'assistant')
  await buyer.goto(`/s/${session.id}`)
  await desk.goto(`/desk/sessions/${session.id}/console`)
  const tabs = desk.getByTestId('console-tabs')
  await look(desk, 'console-empty-desk')

  await test.step('arrows and Enter explain a product', async () => {
    await desk.getByTestId(`pin-${session.second}`).focus()
    await desk.keyboard.press('ArrowUp')
    await desk.keyboard.press('Enter')
    await expect(buyer.getByTestId('pin-card')).toBeVisible()
    await expect(desk.getByTestId(`pin-${session.product}`)).toHaveAttribute('aria-pressed', 'true')
    await expect(desk.getByTestId('viewers-see').getByTestId('pin-card')).toBeVisible()
  })

  await test.step('F sets up a flash sale, with what viewers will see; it runs, is extended, is stopped', async () => {
    await desk.getByTestId(`pin-${session.product}`).focus()
    await desk.keyboard.press('f')
    const sheet = desk.getByTestId('flash-sheet')
    await sheet.locator('[name=flash-price]').fill('120')
    await expect(sheet).toContainText('要低于现在的价格')
    await sheet.locator('[name=flash-price]').fill('59.90')
    await sheet.locator('[name=flash-stock]').fill('5')
    await expect(sheet.getByTestId('flash-preview')).toContainText('59')
    await look(desk, 'console-flash-form-desk')
    await sheet.getByTestId('flash-start').click()
    await expect(desk.getByTestId('viewers-see').getByTestId('pin-card')).toContainText('59')
    await expect(buyer.getByTestId('pin-card')).toContainText('59')
    await look(desk, 'console-flash-on-desk')
    await desk.getByTestId(`flash-${session.product}`).click()
    await sheet.getByTestId('flash-extend').click()
    await expect(sheet).toContainText('剩 5 件')
    await look(desk, 'console-flash-manage-desk')
    await sheet.getByTestId('flash-stop').click()
    await desk.getByTestId('flash-stop-confirm').click()
    await expect(buyer.getByTestId('pin-card')).toContainText('99')
    await expect(desk.getByTestId('viewers-see').getByTestId('pin-card')).toBeVisible()
  })

  await test.step('a question is marked as answered', async () => {
    const asked = await buyer.request.post(`/api/v1/sessions/${session.id}/questions`, {
      data: { text: '这条多长', product_id: session.product },
    })
    expect(asked.status()).toBe(201)
    await expect(tabs).toContainText('提问 1')
    await expect(desk.getByTestId('questions')).toContainText('这条多长')
    await look(desk, 'console-question-desk')
    await desk.getByTestId('answered').click()
    await expect(desk.getByTestId('questions')).toContainText('没有在等的提问')
  })

  await test.step('a notice is pinned with P, and seen', async () => {
    await say(buyer, '今晚包邮吗')
    const log = desk.getByTestId('mod-chat').getByRole('log')
    await expect(log).toContainText('今晚包邮吗')
    await log.focus()
    await log.press('p')
    await desk.keyboard.type('今晚全场包邮')
    await desk.getByTestId('pin-notice').click()
    await expect(desk.getByTestId('viewers-see')).toContainText('今晚全场包邮')
    await tabs.getByRole('button', { name: '公告' }).click()
    await expect(desk.getByTestId('board').locator('[name=pinned]')).toHaveValue('今晚全场包邮')
    await look(desk, 'console-board-desk')
  })

  await test.step('a poll is opened, voted on, closed', async () => {
    await tabs.getByRole('button', { name: '投票' }).click()
    const poll = desk.getByTestId('poll')
    await poll.locator('[name=poll-question]').fill('先讲哪个')
    await poll.locator('[name=poll-option-0]').fill('羊绒围巾')
    await poll.locator('[name=poll-option-1]').fill('沙棘汁')
    await poll.getByTestId('poll-open').click()
    await expect(poll.getByTestId('poll-close')).toBeVisible()
    const polls = await (await buyer.request.get(`/api/v1/sessions/${session.id}/polls`)).json()
    const voted = await buyer.request.post(`/api/v1/sessions/${session.id}/polls/${polls.items[0].poll_id}/votes`, { data: { option: 1 } })
    expect(voted.status()).toBe(204)
    await expect(poll).toContainText('1 · 100%')
    await look(desk, 'console-poll-desk')
    await poll.getByTestId('poll-close').click()
    await desk.getByTestId('poll-close-confirm').click()
    await expect(poll).toContainText('已结束')
  })

  await test.step('a draw is published', async () => {
    await tabs.getByRole('button', { name: '抽奖' }).click()
    const draw = desk.getByTestId('draw')
    await draw.locator('[name=draw-title]').fill('今晚的礼物')
    await draw.locator('[name=draw-prize]').fill('羊绒围巾一条')
    await draw.getByTestId('draw-publish').click()
    await desk.getByTestId('draw-publish-confirm').click()
    await expect(draw).toContainText('未开始')
    await look(desk, 'console-draw-desk')
  })

  await test.step('slow mode', async () => {
    await tabs.getByRole('button', { name: '规则' }).click()
    await desk.getByTestId('slow').selectOption('10')
    await desk.getByTestId('save-controls').click()
    await expect(desk.getByText('规则已生效')).toBeVisible()
    await desk.reload()
    await tabs.getByRole('button', { name: '规则' }).click()
    await expect(desk.getByTestId('slow')).toHaveValue('10')
  })

  await test.step('in English, dark, on a phone', async () => {
    await desk.evaluate(() => localStorage.setItem('duoduopin.locale', 'en'))
    for (const [name, width, height] of [
      ['desk', 1440, 900],
      ['phone', 390, 844],
      ['narrow', 360, 740],
    ] as const) {
      await desk.setViewportSize({ width, height })
      await desk.reload()
      await expect(desk.getByTestId('top-line')).toContainText('watching')
      await desk.waitForLoadState('networkidle')
      if (name === 'phone') await desk.evaluate(() => document.documentElement.setAttribute('data-theme', 'dark'))
      await look(desk, `console-en-${name}`)
      expect(await desk.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
      if (name === 'desk') continue
      const seen = await desk.getByTestId('viewers-see').boundingBox()
      const shelf = await desk.getByTestId(`pin-${session.product}`).boundingBox()
      expect(shelf!.y, 'what viewers see comes first').toBeGreaterThan(seen!.y + seen!.height)
    }
  })
})
