import { expect, type Page } from '@playwright/test'
import { gaps, sight, sum } from './eyes'
import { measured, test } from './show'

const minutes = Number(process.env.SOAK_MINUTES ?? 1)
const anchors = ['anchor1', 'anchor2', 'anchor3', 'anchor4', 'anchor5']
const freeze = 600 // ms without a new picture, where 5 a second are filmed: three in a row are missing

test.afterEach(async ({ shop }) => shop.lab.clear())

// A freeze is what Chromium's getStats counts as one, over every picture; gaps of the large one are told beside it, for the
// machine's own lateness shows there too.
//
// Five anchors on air in one room, five viewers who see all of them, and nothing stands still: for a minute among the
// tests, for ten by `make soak`.
test('five anchors and five viewers without a freeze', async ({ shop }) => {
  test.setTimeout((minutes + 4) * 60_000)
  const session = await shop.session(...anchors)
  shop.small()
  const studio = shop.lab.place('studio')
  for (const name of anchors) await shop.onAir(studio, name, session)
  const hall = shop.lab.place('hall')
  const viewers: Page[] = []
  for (let i = 0; i < 5; i++) viewers.push(await shop.viewer(hall, session))
  for (const v of viewers) await allMove(v)

  const cpu = shop.lab.cpu()
  const before = await Promise.all(viewers.map(sight))
  const from = Date.now()
  await new Promise((resolve) => setTimeout(resolve, minutes * 60_000))
  const to = Date.now()
  const after = await Promise.all(viewers.map(sight))
  const busy = (shop.lab.cpu() - cpu) / ((to - from) / 1000)
  const frozen = []
  for (const v of viewers) frozen.push(...(await gaps(v, from, to, freeze, 'line')))
  const frames = after.map((s, i) => s.frames - before[i]!.frames)
  const chromium = after.reduce((n, s, i) => n + s.freezes - before[i]!.freezes, 0)
  const { longest } = sum(frozen)
  const late = `${frozen.length} gaps over ${freeze} ms in the large picture, longest ${longest} ms`
  const value = `Chromium counts ${chromium} freezes over all 25 pictures; ${late}; ${Math.min(...frames)}-${Math.max(...frames)} frames a viewer; server ${(busy * 100).toFixed(1)} % of a processor`
  measured(`5 anchors, 5 viewers, ${minutes} min`, 'no freeze', value, chromium === 0)
})

/** Waits until every anchor's picture moves. */
async function allMove(page: Page): Promise<void> {
  const alive = () =>
    page.evaluate(() => [...document.querySelectorAll('video')].filter((v) => v.videoWidth > 0 && v.currentTime > 1).length)
  await expect.poll(alive, { timeout: 60_000 }).toBe(anchors.length)
}
