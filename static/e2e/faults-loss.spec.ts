import { gaps, pictureAfter, sent, sight, sum, without } from './eyes'
import { measured, test } from './show'

const span = 60_000 // ms, as the table of faults says
// A picture is late when it comes 200 ms later than it should: the film has 15 a second.
const freeze = 200 + 1000 / 15
const rows = [
  { perMille: 10, accepted: 'no freeze over 200 ms in 60 s', most: { longest: freeze, frozen: 1 } },
  { perMille: 50, accepted: 'frozen < 1 % of the time', most: { longest: span, frozen: 0.01 } },
  { perMille: 100, accepted: 'frozen < 5 % of the time', most: { longest: span, frozen: 0.05 } },
  { perMille: 200, accepted: 'the picture goes on', most: { longest: 5000, frozen: 1 } },
]

test.afterEach(async ({ shop }) => shop.lab.clear())

// Viewers with ever worse lines watch at the same time as one with a good line, who must not notice.
test('loss towards viewers, and bursts', async ({ shop }) => {
  const session = await shop.session('anchor1')
  const studio = await shop.onAir(shop.lab.place('studio'), 'anchor1', session)
  const good = await shop.viewer(shop.lab.place('good'), session)
  const join = async (row: (typeof rows)[number]) => {
    const place = shop.lab.place(`lossy${row.perMille}`)
    return { ...row, place, page: await shop.viewer(place, session) }
  }
  const lossy = await Promise.all(rows.map(join))

  await test.step('loss of 1, 5, 10 and 20 %', async () => {
    for (const v of lossy) v.place.trouble({ down: v.perMille })
    const seen = await sight(good)
    const made = await sent(studio)
    const keys = await shop.metric('duoduopin_stream_key_requests_total')
    const all = await Promise.all(lossy.map((v) => sight(v.page)))
    const from = Date.now()
    await good.waitForTimeout(span)
    const to = Date.now()
    const share = ((await sight(good)).frames - seen.frames) / ((await sent(studio)).frames - made.frames)
    const late = await gaps(good, from, to, freeze, 'any')
    const calm = sum(late)
    measured(
      'others meanwhile',
      'frames within 1 %',
      `${percent(share)} of the frames sent; the machine itself was late for ${calm.frozen} ms; ${await shop.layers(session)}`,
      Math.abs(share - 1) < 0.01,
    )
    const asked = (await shop.metric('duoduopin_stream_key_requests_total')) - keys
    measured(
      'key frames asked meanwhile',
      'one per second and layer at most',
      `${asked} in ${span / 1000} s`,
      asked <= (span / 1000 + 1) * 3,
    )
    for (const [i, v] of lossy.entries()) {
      const g = sum(without(await gaps(v.page, from, to, freeze, 'line'), late))
      const [s, b] = [await sight(v.page), all[i]!]
      const rate = Math.round(((s.bytes - b.bytes) * 8) / span)
      const lost = `${s.nacks - b.nacks} nacks, ${s.plis - b.plis} PLIs, Chromium: ${s.freezes - b.freezes} freezes ${(s.frozen - b.frozen).toFixed(2)} s`
      const value = `longest freeze ${g.longest} ms, frozen ${percent(g.frozen / span)}; ${s.height} lines, ${rate} kbit/s; ${lost}`
      measured(
        `loss ${v.perMille / 10} % towards a viewer`,
        v.accepted,
        value,
        g.longest < v.most.longest && g.frozen / span < v.most.frozen,
      )
    }
  })

  await test.step('bursts', async () => {
    const keys = await shop.metric('duoduopin_stream_key_requests_total')
    const from = Date.now()
    const back = []
    for (let i = 0; i < 4; i++) {
      for (const v of lossy) v.place.trouble({ down: 1000 })
      await good.waitForTimeout(400)
      for (const v of lossy) v.place.trouble()
      const over = Date.now()
      back.push(...(await Promise.all(lossy.map((v) => pictureAfter(v.page, over)))))
      await good.waitForTimeout(1500)
    }
    const seconds = (Date.now() - from) / 1000
    const asked = (await shop.metric('duoduopin_stream_key_requests_total')) - keys
    measured(
      '4 bursts of 400 ms to 4 viewers',
      'picture back in 1 s',
      `longest ${Math.max(...back)} ms, median ${median(back)} ms`,
      Math.max(...back) < 1000,
    )
    measured('key frames asked', 'one per second and layer at most', `${asked} in ${seconds.toFixed(1)} s`, asked <= (seconds + 1) * 3)
  })
})

const percent = (x: number): string => `${(x * 100).toFixed(2)} %`
const median = (all: number[]): number => all.toSorted((a, b) => a - b)[all.length >> 1]!
