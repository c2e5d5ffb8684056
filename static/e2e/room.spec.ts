import { expect, type Page, test } from '@playwright/test'
import { arrive, look } from './people'
import { onAir } from './sessions'

declare global {
  interface Window {
    long: number[] // ms of each long task
  }
}

const watchTasks = (): void => {
  window.long = []
  new PerformanceObserver((l) => l.getEntries().forEach((e) => window.long.push(e.duration))).observe({ type: 'longtask', buffered: true })
}

/** Somebody's sockets that say `rate` different things a second for so many seconds. */
const rush = (page: Page, session: number, rate: number, seconds: number): Promise<number> =>
  page.evaluate(
    async ([session, rate, seconds]) => {
      const open = (): Promise<WebSocket> =>
        new Promise((done) => {
          const s = new WebSocket(`${location.origin.replace('http', 'ws')}/api/v1/sessions/${session}/ws`)
          s.onopen = () => done(s)
        })
      const sockets = await Promise.all([open(), open(), open(), open(), open()])
      const words = [
        '这个颜色好看',
        '有大号的吗',
        '昨天买的收到了，很暖和',
        '从呼和浩特来的',
        '主播再讲一下尺码，我给妈妈买，她一米六',
        '支持家乡',
      ]
      const began = performance.now()
      let sent = 0
      while (performance.now() - began < seconds * 1000) {
        const due = Math.floor(((performance.now() - began) / 1000) * rate)
        for (; sent < due; sent++) {
          const text = `${words[sent % words.length]} ${sent}`
          sockets[sent % 5]!.send(JSON.stringify({ type: 'chat', id: `${began}-${sent}`, text }))
        }
        await new Promise((r) => setTimeout(r, 20))
      }
      sockets.forEach((s) => s.close())
      return sent
    },
    [session, rate, seconds] as const,
  )

test('fifty messages a second can be read, and reading back is left alone', async ({ browser }) => {
  const crew = await arrive(browser, 'desk', 'operator')
  const others = await arrive(browser, 'desk', 'buyer2')
  const s = await onAir(crew.request, '热闹的一场')
  const phone = await arrive(browser, 'phone', 'buyer1')
  await phone.addInitScript(watchTasks)
  await phone.goto(`/s/${s.id}`)
  await expect(phone.getByTestId('chat-input')).toBeVisible()
  await phone.waitForTimeout(2000)
  await phone.evaluate(() => (window.long = []))
  const list = phone.getByTestId('chat-list')
  const talking = rush(others, s.id, 50, 16)
  await expect(phone.locator('.rush')).toBeVisible()

  await test.step('the lines stand still between steps, and few are in the page', async () => {
    const changes = await list.evaluate(async (ul) => {
      let n = 0
      let last = ''
      const began = performance.now()
      while (performance.now() - began < 4000) {
        const now = ul.querySelector('li:last-of-type')?.textContent ?? ''
        if (now !== last) n++
        last = now
        await new Promise((r) => requestAnimationFrame(r))
      }
      return n
    })
    expect(changes).toBeLessThanOrEqual(6)
    expect(await list.locator('li').count()).toBeLessThan(60)
    await phone.screenshot({ path: '../test-output/screenshots/room-rush-phone.png' })
  })

  await test.step('one can speak meanwhile, and sees it', async () => {
    await phone.getByTestId('chat-input').fill('我的话')
    await phone.getByTestId('chat-input').press('Enter')
    await expect(list).toContainText('我的话', { timeout: 3000 })
  })

  await test.step('who reads back is not moved', async () => {
    const log = phone.getByRole('log')
    await log.evaluate((el) => (el.scrollTop = el.scrollHeight / 3))
    await phone.waitForTimeout(500)
    const top = () =>
      log.evaluate((el) => {
        const edge = el.getBoundingClientRect().top
        const li = [...el.querySelectorAll('li')].find((l) => l.getBoundingClientRect().bottom > edge + 20)!
        return { text: li.textContent, y: Math.round(li.getBoundingClientRect().top - edge) }
      })
    const before = await top()
    await phone.waitForTimeout(3000)
    const after = await top()
    expect(after.text).toBe(before.text)
    expect(Math.abs(after.y - before.y)).toBeLessThanOrEqual(1)
    await expect(phone.getByTestId('new-messages')).toBeVisible()
    await phone.screenshot({ path: '../test-output/screenshots/room-rush-back-phone.png' })
    await phone.getByTestId('new-messages').click()
    await expect(phone.getByTestId('new-messages')).toHaveCount(0)
  })

  const sent = await talking
  const long = await phone.evaluate(() => window.long)
  const sum = Math.round(long.reduce((a, b) => a + b, 0))
  const worst = Math.round(Math.max(0, ...long))
  test
    .info()
    .annotations.push({ type: 'measured', description: `${sent} messages; ${long.length} long tasks, ${sum} ms, longest ${worst} ms` })
  await expect(list).toContainText(`${sent - 1}`)
  await look(phone, 'room-after-rush-phone')
})

test('where no socket gets through one can read, and is told so', async ({ browser }) => {
  const crew = await arrive(browser, 'desk', 'operator')
  const other = await arrive(browser, 'desk', 'buyer2')
  const s = await onAir(crew.request, '只读的一场')
  const phone = await arrive(browser, 'phone', 'buyer1')
  await phone.addInitScript(() => {
    const Real = window.WebSocket
    class Blocked extends Real {
      constructor(url: string | URL) {
        super(String(url).replace('/ws', '/nowhere'))
      }
    }
    window.WebSocket = Blocked
  })
  await phone.goto(`/s/${s.id}`)
  await expect(phone.getByTestId('read-only')).toBeVisible()
  await other.goto(`/s/${s.id}`)
  await other.getByTestId('chat-input').fill('听得见吗')
  await other.getByTestId('chat-input').press('Enter')
  await expect(phone.getByTestId('chat-list')).toContainText('听得见吗')
  await phone.getByTestId('chat-input').fill('听得见')
  await phone.getByTestId('chat-input').press('Enter')
  await expect(phone.getByTestId('chat-input')).toHaveValue('听得见')
  await phone.getByTestId('read-only').getByRole('button').click({ trial: true, timeout: 3000 }) // no notice lies on it
  await look(phone, 'room-read-only-phone')
})
