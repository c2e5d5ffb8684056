import { expect, type Page, test } from '@playwright/test'
import { onAir, say } from './crew'
import { arrive, look } from './people'

/** In the light and in the dark. */
async function looks(page: Page, name: string): Promise<void> {
  await look(page, name)
  await page.evaluate(() => document.documentElement.setAttribute('data-theme', 'dark'))
  await look(page, `${name}-dark`)
  await page.evaluate(() => document.documentElement.setAttribute('data-theme', 'light'))
}

test('a moderator keeps a room friendly by keyboard; the person concerned is told, appeals, is right', async ({ browser }) => {
  const session = await onAir(browser, '秩序的一场')
  const buyer = await arrive(browser, 'phone', 'buyer1')
  const visitor = await arrive(browser, 'desk')
  const desk = await arrive(browser, 'desk', 'assistant')
  await buyer.goto(`/s/${session.id}`)
  await visitor.goto(`/s/${session.id}`)
  await desk.goto(`/desk/sessions/${session.id}/moderation`)
  const chat = desk.getByTestId('mod-chat').getByRole('log')
  const act = async (key: string, why: string): Promise<void> => {
    await chat.press(key)
    await expect(desk.getByTestId('reason-form')).toBeVisible()
    await desk.keyboard.press(why)
    await desk.keyboard.press('Enter')
    await expect(desk.getByTestId('reason-form')).toBeHidden()
  }

  await test.step('D takes down, the foot of the screen takes that back', async () => {
    await say(buyer, '加微信便宜')
    await expect(chat).toContainText('加微信便宜')
    await chat.focus()
    await chat.press('j')
    await chat.press('d')
    await expect(desk.getByTestId('reason-form')).toBeVisible()
    await looks(desk, 'mod-reason-desk')
    await desk.keyboard.press('4')
    await desk.keyboard.press('Enter')
    await expect(visitor.getByTestId('chat-list')).not.toContainText('加微信便宜')
    await desk.getByRole('button', { name: '撤销' }).first().click()
    await expect(chat.locator('.line.removed')).toHaveCount(0)
    await looks(desk, 'mod-room-desk')
  })

  await test.step('M mutes with a reason', async () => {
    await say(buyer, '第二句话')
    await expect(chat).toContainText('第二句话')
    await chat.focus()
    await chat.press('End')
    await chat.press('j')
    await act('m', '2')
    await expect(desk.getByTestId('acts')).toContainText('辱骂他人')
  })

  await test.step('the person reads why and appeals', async () => {
    await buyer.goto('/me/acts')
    await expect(buyer.getByTestId('my-acts')).toContainText('辱骂他人')
    await look(buyer, 'my-acts-phone')
    await buyer.getByTestId('appeal').first().click()
    await buyer.locator('[name=text]').fill('我没有骂人')
    await look(buyer, 'my-appeal-phone')
    await buyer.getByTestId('send-appeal').click()
    await expect(buyer.getByTestId('my-acts')).toContainText('申诉处理中')
  })

  await test.step('who acted can’t decide; a colleague does, and the mute is gone', async () => {
    await desk.goto('/desk/moderation')
    await desk.getByTestId('read-appeal').first().click()
    await desk.locator('[name=answer]').fill('对不起')
    await desk.getByTestId('overturn').click()
    await expect(desk.getByTestId('appeal-sheet').getByRole('alert')).toContainText('另一位同事')
    await look(desk, 'mod-appeal-refused-desk')
    const operator = await arrive(browser, 'desk', 'operator')
    await operator.goto('/desk/moderation')
    await look(operator, 'mod-appeals-desk')
    await operator.getByTestId('read-appeal').first().click()
    await operator.locator('[name=answer]').fill('看过了，您没有骂人，已经恢复')
    await looks(operator, 'mod-appeal-desk')
    await operator.getByTestId('overturn').click()
    await expect(operator.getByTestId('appeals')).toContainText('没有申诉')
    await operator.context().close()
    await buyer.reload()
    await expect(buyer.getByTestId('my-acts')).toContainText('申诉成立')
    await buyer.goto(`/s/${session.id}`)
    await say(buyer, '谢谢，可以说话了')
    await expect(visitor.getByTestId('chat-list')).toContainText('谢谢，可以说话了')
  })

  await test.step('silence, and back', async () => {
    await desk.goto(`/desk/sessions/${session.id}/moderation`)
    await desk.getByTestId('silence').click()
    await desk.getByTestId('reason-confirm').click()
    await expect(desk.getByTestId('controls')).toContainText('现在全场静默')
    await look(desk, 'mod-silent-desk')
    await desk.getByTestId('unsilence').click()
    await expect(desk.getByTestId('silence')).toBeVisible()
  })

  await test.step('a list is imported with a preview, then holds a message for review', async () => {
    const lists = desk.getByTestId('lists')
    await lists.getByLabel('新词表的名称').fill('先看看')
    await lists.getByLabel('命中时').selectOption('hold')
    await lists.getByRole('button', { name: '新建' }).click()
    await lists.getByRole('button', { name: '导入' }).click()
    await desk.getByTestId('import-text').fill('微信\n。。。\n返利')
    await desk.getByRole('button', { name: '预览' }).click()
    await expect(desk.getByTestId('import-preview')).toContainText('可用 2 个，有问题 1 行')
    await expect(desk.getByTestId('import-do')).toBeDisabled()
    await looks(desk, 'mod-import-desk')
    await desk.getByText('跳过有问题的 1 行').click()
    await desk.getByTestId('import-do').click()
    await expect(lists).toContainText('2 个词')
    await say(buyer, '加我微 信')
    const held = desk.getByTestId('held')
    await expect(held).toContainText('加我微 信')
    await look(desk, 'mod-held-desk')
    await held.getByTestId('approve').click()
    await expect(visitor.getByTestId('chat-list')).toContainText('加我微 信')
    await expect(held).toContainText('没有消息在等')
  })

  await test.step('the search finds it in disguise; one person’s history', async () => {
    await desk.goto('/desk/moderation?tab=search')
    const search = desk.getByTestId('search')
    await expect(async () => {
      await search.getByLabel('说过的话').fill('可以说话')
      await search.getByRole('button', { name: '搜索' }).click()
      await expect(desk.getByTestId('found')).toContainText('谢谢，可以说话了', { timeout: 2_000 })
    }).toPass()
    await look(desk, 'mod-search-desk')
    await desk.getByTestId('found').getByRole('link').first().click()
    await expect(desk.getByTestId('done')).toContainText('辱骂他人')
    await expect(desk.getByTestId('said')).toContainText('加我微 信')
    await looks(desk, 'mod-person-desk')
    await desk.goto('/desk/moderation?tab=lists')
    await expect(desk.getByTestId('lists')).toContainText('还没有词表')
    await look(desk, 'mod-lists-desk')
  })

  await test.step('on a phone, and in English', async () => {
    await desk.evaluate(() => localStorage.setItem('duoduopin.locale', 'en'))
    for (const [name, width, height] of [
      ['desk', 1440, 900],
      ['phone', 390, 844],
      ['narrow', 360, 740],
    ] as const) {
      await desk.setViewportSize({ width, height })
      await desk.goto(`/desk/sessions/${session.id}/moderation`)
      await expect(desk.getByTestId('acts')).toContainText('Muted')
      await look(desk, `mod-room-en-${name}`)
      expect(await desk.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
    }
    await desk.goto(`/desk/sessions/${session.id}`)
    await desk.waitForLoadState('networkidle')
    await look(desk, 'mod-session-en-narrow')
  })
})
