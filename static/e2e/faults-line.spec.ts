import { expect, type Page } from '@playwright/test'
import { pictureAfter, sight } from './eyes'
import { measured, moving, test } from './show'

test.afterEach(async ({ shop }) => shop.lab.clear())

// A line that carries a third of the stream: the viewer gets a lower layer, and is never far behind.
test('800 kbit/s towards a viewer', async ({ shop }) => {
  const session = await shop.session('anchor1')
  await shop.onAir(shop.lab.place('studio'), 'anchor1', session)
  const place = shop.lab.place('narrow')
  const page = await shop.viewer(place, session)
  const other = await shop.viewer(shop.lab.place('good'), session)
  const top = await settled(other)
  const rate = await bitrate(page)
  const before = await sight(page)

  const layers = await shop.layers(session)
  place.narrow(800)
  const from = Date.now()
  let lower = -1
  let longest = 0
  let height = before.height
  while (Date.now() - from < 20_000) {
    longest = Math.max(longest, (place.queue().bytes * 8) / 800)
    height = (await sight(page)).height
    if (lower < 0 && height < top) lower = Date.now() - from
    await page.waitForTimeout(100)
  }
  const after = await sight(page)
  const then = await shop.layers(session)
  const delay = (after.delay - before.delay) / Math.max(1, after.emitted - before.emitted)
  const value = `${(rate / 1e6).toFixed(1)} Mbit/s before (${layers}); lower layer after ${lower} ms (${height} instead of ${top} lines); queue at most ${Math.round(longest)} ms; jitter buffer ${Math.round(delay * 1000)} ms; 20 s later ${then}`
  const met = lower >= 0 && lower < 5000 && longest <= 1000
  measured('800 kbit/s towards a viewer', 'lower layer within 5 s, queue never over 1 s', value, met)
  expect.soft((await sight(other)).height, 'the other viewer').toBe(top)
})

test('a viewer changes address', async ({ shop }) => {
  const session = await shop.session('anchor1')
  await shop.onAir(shop.lab.place('studio'), 'anchor1', session)
  const place = shop.lab.place('phone')
  const page = await shop.viewer(place, session)
  await shop.notice(session, '换网络之前')
  await expect(page.getByTestId('chat-list')).toContainText('换网络之前')
  const restarts = await shop.metric('duoduopin_stream_ice_restarts_total')

  place.move(200)
  const back = await pictureAfter(page, Date.now())
  const by = (await shop.metric('duoduopin_stream_ice_restarts_total')) > restarts ? 'ICE restart' : 'a new WHEP or the old path moved'
  const value = `picture ${back} ms, ${by}; ${await page.evaluate(() => window.lines.length)} connection(s) made`
  const most = by === 'ICE restart' ? 5000 : 10_000
  measured('viewer changes address', 'media within 5 s by ICE restart, else 10 s', value, back < most)
  const heard = await shop.chatAfter(session, page, '换网络之后')
  await expect(page.getByTestId('chat-list').getByText('换网络之前')).toHaveCount(1)
  measured('the chat of one who changes address', 'goes on where it was', `${heard} ms, nothing twice`, true)
})

test('UDP is blocked', async ({ shop }) => {
  const session = await shop.session('anchor1')
  await shop.onAir(shop.lab.place('studio'), 'anchor1', session)
  const place = shop.lab.place('office')
  place.trouble({ udp: 'blocked' })
  const from = Date.now()
  const page = await shop.viewer(place, session)
  const first = (await page.evaluate(() => window.shown[0]!)) - from
  const { protocol } = await sight(page)
  const value = `${protocol}, first picture ${Math.round(first)} ms after opening the page`
  measured('UDP blocked', 'ICE-TCP on the same port', value, protocol === 'tcp')
})

/** The height of the picture when it has not changed for 5 s: the sender's bandwidth estimate has settled. */
async function settled(page: Page): Promise<number> {
  await moving(page)
  let height = 0
  await expect
    .poll(
      async () => {
        const before = height
        height = (await sight(page)).height
        return before === height && height > 0
      },
      { timeout: 60_000, intervals: [5000] },
    )
    .toBe(true)
  return height
}

/** bit/s of pictures that a page receives, over 3 s. */
async function bitrate(page: Page): Promise<number> {
  const before = await sight(page)
  await page.waitForTimeout(3000)
  return (((await sight(page)).bytes - before.bytes) * 8) / 3
}
