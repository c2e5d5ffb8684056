import { expect, type Page } from '@playwright/test'
import { pictureAfter, shown } from './eyes'
import { measured, moving, type Session, type Shop, test } from './show'

test.afterEach(async ({ shop }) => shop.lab.clear())

interface Report {
  events: { type: string; at: string; to: string | null }[]
  totals: { interrupted_minutes: number }
}

// What happens to an anchor, seen by a viewer who does nothing: one show, one disaster after the other.
test('the anchor is away for 5 s, is killed, comes back, takes over', async ({ shop }) => {
  const session = await shop.session('anchor1')
  const studio = shop.lab.place('studio')
  await shop.onAir(studio, 'anchor1', session)
  const viewer = await shop.viewer(shop.lab.place('good'), session)

  await test.step('network away for 5 s', async () => {
    studio.trouble({ down: 1000, up: 1000 })
    await viewer.waitForTimeout(5000)
    studio.trouble()
    const back = await pictureAfter(viewer, Date.now())
    measured("the anchor's network away for 5 s", 'same session, picture within 2 s', `${back} ms`, back < 2000)
    expect.soft(await state(shop, session)).toBe('live')
  })

  await test.step('killed', async () => {
    studio.slay()
    const from = Date.now()
    await expect(viewer.getByText('主播网络中断')).toBeVisible({ timeout: 30_000 })
    const told = Date.now() - from
    measured("the anchor's tab killed", '"interrupted" within 12 s', `${told} ms`, told < 12_000)
    expect.soft(await state(shop, session)).toBe('interrupted')
  })

  await test.step('publishes again', async () => {
    const before = await viewer.evaluate(() => window.shown.at(-1)!)
    await shop.onAir(studio, 'anchor1', session)
    const onAir = Date.now()
    await pictureAfter(viewer, before + 1)
    const [first] = await shown(viewer, before + 1)
    measured(
      'published again',
      'picture within 3 s, the viewer does nothing',
      `${Math.round(first! - onAir)} ms after the studio says "on air"`,
      first! - onAir < 3000,
    )
    await expect(viewer.getByText('主播网络中断')).toBeHidden()
    await expect.poll(() => state(shop, session)).toBe('live')
    const report = await shop.ask<Report>('operator', 'GET', `/api/v1/sessions/${session.id}/report`)
    const gap = report.events.find((e) => e.type === 'interrupted')
    const seconds = gap?.to ? (Date.parse(gap.to) - Date.parse(gap.at)) / 1000 : NaN
    const marked = seconds > 0 && report.totals.interrupted_minutes > 0
    measured('the report', 'marks the gap', `one interruption of ${seconds.toFixed(1)} s`, marked)
  })

  await test.step('somebody else may not publish', async () => {
    const status = await whip(shop, session, 'anchor2')
    measured('a second publisher by another account', 'refused, the picture goes on', `${status}`, [403, 409].includes(status))
    await still(viewer)
  })

  await test.step('the same anchor takes over from another place', async () => {
    const second = await shop.onAir(shop.lab.place('studio2'), 'anchor1', session)
    const from = Date.now()
    const back = await pictureAfter(viewer, from)
    const calm = await calmOf(shop, session, 15)
    const value = `${back} ms; then ${calm} change(s) of publisher in 15 s`
    measured('the same anchor takes over', 'picture goes on, one publisher', value, back < 3000 && calm === 0)
    await expect(second.getByTestId('on-air-timer')).toBeVisible()
    await still(viewer)
  })
})

test('kill -9 of the server while live and selling', async ({ shop }) => {
  const session = await shop.session('anchor1')
  await shop.onAir(shop.lab.place('studio'), 'anchor1', session)
  const viewer = await shop.viewer(shop.lab.place('good'), session)
  const cart = { session_id: session.id, items: [{ sku_id: session.sku, quantity: 1 }] }
  const order = await shop.order('buyer', cart, 'before-the-crash')

  await shop.lab.kill()
  const from = Date.now()
  await shop.lab.start()
  const ready = Date.now() - from
  const chat = shop.chatAfter(session, viewer, '我们回来了', from)
  const back = await pictureAfter(viewer, from + 1000, 60_000)
  const heard = await chat
  const again = await shop.order('buyer', cart, 'before-the-crash')
  const value = `ready after ${ready} ms, chat ${heard} ms, picture ${back + 1000} ms; the order is the same`
  const met = heard < 10_000 && back + 1000 < 15_000 && again.id === order.id
  measured('kill -9 of the server while live and selling', 'chat back within 10 s, media within 15 s', value, met)
  await expect.poll(() => state(shop, session)).toBe('live')
})

const state = async (shop: Shop, session: Session): Promise<string> =>
  (await shop.ask<{ state: string }>('operator', 'GET', `/api/v1/sessions/${session.id}`)).state

/** The status of an attempt to publish. */
async function whip(shop: Shop, session: Session, who: string): Promise<number> {
  const headers = { Authorization: `Bearer ${shop.tokens.get(who)}`, 'Content-Type': 'application/sdp' }
  return (await fetch(`${shop.url}/api/v1/sessions/${session.id}/whip`, { method: 'POST', headers, body: 'v=0\r\n' })).status
}

/** How often the publisher's connection changes within so many seconds. */
async function calmOf(shop: Shop, session: Session, seconds: number): Promise<number> {
  const since = async (): Promise<string> => {
    const media = await shop.ask<{ publishers: { since: string }[] }>('operator', 'GET', `/api/v1/sessions/${session.id}/media`)
    return media.publishers.map((p) => p.since).join()
  }
  let last = await since()
  let changes = 0
  for (let i = 0; i < seconds * 2; i++) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    const now = await since()
    if (now !== last) changes++
    last = now
  }
  return changes
}

/** The picture goes on. */
async function still(page: Page): Promise<void> {
  await moving(page)
  const from = Date.now()
  await expect.poll(async () => (await shown(page, from)).length, { timeout: 10_000 }).toBeGreaterThan(10)
}
