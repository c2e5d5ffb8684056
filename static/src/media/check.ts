// The check of the line before a show: sends camera and microphone to the server for some seconds, to nobody, and asks what
// arrived. Plain TypeScript without the framework.
import { ApiError, problemOf } from '@/api/client'
import type { LineCheckResult } from '@/api/types'
import { offer, withdraw } from './exchange'
import { takesLayers } from './simulcast'
import { addTracks, count, gathered, lineOf, sharpStart } from './whip'

export interface CheckProgress {
  part: number // 0..1
  bitrate: number // bit/s at this moment
}

const url = '/api/v1/media-check'
const lasts = 6 // seconds
const connectFor = 10_000
const most = 2_500_000 // bit/s, as on air

/** Runs one check. Throws ApiError (status 404 or 405: the server has no such check; code no-media: nothing got through). */
export async function checkLine(
  stream: MediaStream,
  onProgress: (p: CheckProgress) => void,
  signal: AbortSignal,
): Promise<LineCheckResult> {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' })
  let location = ''
  try {
    const tracks = new Map(stream.getTracks().map((t) => [t.kind, t]))
    const layers = addTracks(pc, stream, tracks, most, true)
    await pc.setLocalDescription(await pc.createOffer())
    await gathered(pc)
    signal.throwIfAborted()
    const answer = await offer(url, pc.localDescription!.sdp)
    location = answer.location
    await pc.setRemoteDescription({ type: 'answer', sdp: sharpStart(answer.sdp) })
    if (layers > 1 && !takesLayers(answer.sdp)) await whole(pc)
    await connected(pc, signal)
    const available = await send(pc, onProgress, signal)
    return { ...(await resultOf(location, signal)), available }
  } finally {
    void withdraw(location)
    pc.close()
  }
}

/** A server that takes one layer is sent the whole picture in it. */
async function whole(pc: RTCPeerConnection): Promise<void> {
  const sender = pc.getSenders().find((s) => s.track?.kind === 'video')
  const parameters = sender?.getParameters()
  if (!sender || !parameters?.encodings[0]) return
  Object.assign(parameters.encodings[0], { scaleResolutionDownBy: 1, maxBitrate: most })
  await sender.setParameters(parameters).catch(() => {}) // then it is measured with what the browser allows
}

function connected(pc: RTCPeerConnection, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ApiError(0, 'no-media')), connectFor)
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    const look = (): void => {
      if (pc.connectionState === 'failed') reject(new ApiError(0, 'no-media'))
      if (pc.connectionState !== 'connected') return
      clearTimeout(timer)
      resolve()
    }
    pc.addEventListener('connectionstatechange', look)
    look()
  })
}

/** Sends for some seconds; gives what the browser takes the line to carry in bit/s, 0 when it does not say. */
async function send(pc: RTCPeerConnection, onProgress: (p: CheckProgress) => void, signal: AbortSignal): Promise<number> {
  let before = count(await pc.getStats())
  for (let second = 1; second <= lasts; second++) {
    await new Promise((done) => setTimeout(done, 1000))
    signal.throwIfAborted()
    const now = count(await pc.getStats())
    onProgress({ part: second / lasts, bitrate: lineOf(before, now).bitrate })
    before = now
  }
  return carries(await pc.getStats())
}

function carries(report: Iterable<[string, unknown]>): number {
  let most = 0
  for (const [, value] of report) {
    const s = value as { type: string; nominated?: boolean; availableOutgoingBitrate?: number }
    if (s.type === 'candidate-pair' && s.nominated) most = Math.max(most, s.availableOutgoingBitrate ?? 0)
  }
  return most
}

async function resultOf(location: string, signal: AbortSignal): Promise<LineCheckResult> {
  const response = await fetch(location, { headers: { Accept: 'application/json' }, credentials: 'same-origin', signal }).catch(() => null)
  signal.throwIfAborted()
  if (!response) throw new ApiError(0, 'network')
  if (!response.ok) throw await problemOf(response)
  return (await response.json()) as LineCheckResult
}
