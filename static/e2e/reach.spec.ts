import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { expect, test } from '@playwright/test'
import { arrive, expectMovingPicture } from './people'

// Picture where WebRTC does not go, what is kept of the show, and what the desk sees of the lines.
test('HLS, recording and figures of a picture from a real camera page', async ({ browser }, info) => {
  const note = (type: string, description: string) => info.annotations.push({ type, description })
  const operator = await arrive(browser, 'desk', 'operator')
  const anchor = await arrive(browser, 'desk', 'anchor2')
  const made = await operator.request.post('/api/v1/sessions', {
    data: { title: '不用 WebRTC 也能看', starts_at: new Date().toISOString(), anchors: ['anchor2'], shelf: [] },
  })
  expect(made.status()).toBe(201)
  const id = (await made.json()).id as number

  await anchor.goto(`/studio/${id}`)
  await expect(anchor.getByTestId('check-camera')).toHaveAttribute('data-state', 'ok')
  await anchor.getByTestId('go-live').click()
  await expect(anchor.getByTestId('on-air-timer')).toBeVisible()

  await test.step('a browser without WebRTC plays HLS', async () => {
    const plain = await arrive(browser, 'phone')
    await plain.addInitScript(() => {
      Reflect.deleteProperty(window, 'RTCPeerConnection')
      Reflect.deleteProperty(window, 'webkitRTCPeerConnection')
    })
    await plain.goto(`/s/${id}`)
    await expectMovingPicture(plain, 'room-video')
    await plain.context().close()
    const list = await operator.request.get(`/api/v1/sessions/${id}/hls/index.m3u8`)
    expect(list.status()).toBe(200)
    expect(await list.text()).toContain('#EXTM3U')
  })

  await test.step('the desk sees layers, viewers and why', async () => {
    const viewer = await arrive(browser, 'phone')
    await viewer.goto(`/s/${id}`)
    await expectMovingPicture(viewer, 'room-video')
    const media = await (await operator.request.get(`/api/v1/sessions/${id}/media`)).json()
    expect(media.publishers[0].layers.some((l: { kind: string; alive: boolean }) => l.kind === 'video' && l.alive)).toBe(true)
    expect(media.viewers_by_transport.udp).toBeGreaterThan(0)
    const viewers = await (await operator.request.get(`/api/v1/sessions/${id}/media/viewers`)).json()
    const path = await (await operator.request.get(`/api/v1/sessions/${id}/media/viewers/${viewers.items[0].viewer}`)).json()
    expect(path.seats[0].video.state).toBe('live')
    note('layers', JSON.stringify(media.publishers[0].layers))
    note('path', JSON.stringify({ ...path, history: path.history.length }))
    await viewer.context().close()
  })

  await test.step('the recording plays', async () => {
    expect((await operator.request.post(`/api/v1/sessions/${id}/end`)).ok()).toBe(true)
    const list = async () => (await (await operator.request.get(`/api/v1/sessions/${id}/recordings`)).json()).items
    await expect.poll(async () => (await list()).some((r: { ended_at?: string }) => r.ended_at), { timeout: 30_000 }).toBe(true)
    const [kept] = await list()
    const body = await (await operator.request.get(kept.url)).body()
    const file = info.outputPath('kept.mp4')
    writeFileSync(file, body)
    const probe = execFileSync('ffprobe', [
      '-v',
      'error',
      '-show_entries',
      'stream=codec_name:format=duration',
      '-of',
      'default=nw=1',
      file,
    ]).toString()
    note('recording', probe)
    expect(probe).toContain('h264')
    expect(probe).toContain('opus')
    execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-f', 'null', '-'])
  })
})
