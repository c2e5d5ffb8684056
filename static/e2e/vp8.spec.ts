import { expect, type Page, test } from '@playwright/test'
import { arrive, expectMovingPicture } from './people'

/** A browser that can only encode VP8, as many phones. */
function onlyVP8(): void {
  const prefer = RTCRtpTransceiver.prototype.setCodecPreferences
  RTCRtpTransceiver.prototype.setCodecPreferences = function (codecs) {
    const known = [...codecs].filter((c) => !c.mimeType.startsWith('video/') || /VP8|rtx/.test(c.mimeType))
    return prefer.call(this, known)
  }
}

function keepLines(): void {
  const Original = window.RTCPeerConnection
  window.lines = []
  window.RTCPeerConnection = class extends Original {
    constructor(configuration?: RTCConfiguration) {
      super(configuration)
      window.lines.push(this)
    }
  }
}

/** Lines of the picture, pictures decoded and its codec, of the viewer's connection. */
const received = (page: Page) =>
  page.evaluate(async () => {
    const seen = { height: 0, frames: 0, codec: '', freezes: 0 }
    for (const line of window.lines) {
      const report = await line.getStats()
      report.forEach((r) => {
        if (r.type !== 'inbound-rtp' || r.kind !== 'video' || !r.framesDecoded) return
        Object.assign(seen, {
          height: r.frameHeight,
          frames: r.framesDecoded,
          freezes: r.freezeCount,
          codec: report.get(r.codecId)?.mimeType,
        })
      })
    }
    return seen
  })

// The layers of a VP8 simulcast number their pictures each by itself; a viewer who changes between them gets one count.
test('layers of VP8 change in a real decoder', async ({ browser }, info) => {
  const operator = await arrive(browser, 'desk', 'operator')
  const anchor = await arrive(browser, 'desk', 'anchor4')
  await anchor.addInitScript(onlyVP8)
  const made = await operator.request.post('/api/v1/sessions', {
    data: { title: '只会 VP8 的手机', starts_at: new Date().toISOString(), anchors: ['anchor4'], shelf: [] },
  })
  const { id } = (await made.json()) as { id: number }
  await anchor.goto(`/studio/${id}`)
  await expect(anchor.getByTestId('check-camera')).toHaveAttribute('data-state', 'ok')
  await anchor.getByTestId('go-live').click()
  await expect(anchor.getByTestId('on-air-timer')).toBeVisible()

  const viewer = await arrive(browser, 'phone')
  await viewer.addInitScript(keepLines)
  await viewer.goto(`/s/${id}`)
  await expectMovingPicture(viewer, 'room-video')
  expect((await received(viewer)).codec).toBe('video/VP8')
  for (const [quality, small] of [
    ['smooth', true],
    ['clear', false],
    ['smooth', true],
    ['auto', false],
  ] as const) {
    await viewer.getByTestId('quality').click()
    await viewer.getByTestId(`quality-${quality}`).click()
    await expect.poll(async () => (await received(viewer)).height <= 180, { timeout: 30_000 }).toBe(small)
    const before = (await received(viewer)).frames
    await expect.poll(async () => (await received(viewer)).frames, { timeout: 20_000 }).toBeGreaterThan(before + 15)
  }
  info.annotations.push({ type: 'freezes', description: String((await received(viewer)).freezes) })
})
