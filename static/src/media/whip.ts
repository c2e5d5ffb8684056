// Going on air from a browser: WHIP (RFC 9725). One offer with everything gathered, one POST, and a connection that is
// made again, by itself, until it is closed. Plain TypeScript without the framework.
import type { ApiError } from '@/api/client'
import { waitOf } from '@/api/room'
import { offer, withdraw } from './exchange'
import { layersOfTrack, takesLayers } from './simulcast'

/**
 * connecting: the first try is under way. on-air: media flows. reconnecting: it flowed before, or may soon. refused: the
 * server said no, and asking again would not help. ended: closed by us.
 */
export type PublishState = 'connecting' | 'on-air' | 'reconnecting' | 'refused' | 'ended'

/** What the line to the server does, as far as the browser knows. */
export interface LineStats {
  bitrate: number // bit/s sent, sound and picture together
  rtt: number | null // s
  loss: number | null // 0..1, as the server reports it
  fps: number | null
  height: number | null // of the picture that is really sent
  limited: 'none' | 'cpu' | 'bandwidth' | 'other'
}

export interface PublishOptions {
  url: string // the session's WHIP endpoint
  stream: MediaStream
  token?: string // a publish token; the browser's cookie otherwise
  maxBitrate?: number // bit/s of the picture, 2.5 million unless told
  onState: (state: PublishState, error?: ApiError) => void
  onStats?: (stats: LineStats) => void
}

export interface Publisher {
  /** Sends another camera or microphone from now on, without a new connection. */
  replace(track: MediaStreamTrack): Promise<void>
  /** Tries again at once instead of waiting. */
  hurry(): void
  /** Goes off air and says so to the server. */
  close(): Promise<void>
}

const gatherFor = 1500 // ms: candidates of this machine come at once, what needs longer is left out
const connectFor = 12_000
const patience = 4500 // ms in "disconnected" before we make a new connection: a line that was away for some seconds comes back by itself
const statsEvery = 2000

/** True for answers that another try may change: none, too many, or a fault of the server. */
export const worthAnotherTry = (status: number): boolean => status === 0 || status === 408 || status === 429 || status >= 500

/** The codecs in the order we want them: H.264 first, because recording and HLS take it as it is; then what else there is. */
export function preferred<C extends { mimeType: string; sdpFmtpLine?: string }>(codecs: C[]): C[] {
  const rank = (c: C): number => {
    const mime = c.mimeType.toLowerCase()
    if (mime === 'video/h264') return c.sdpFmtpLine?.includes('packetization-mode=1') ? 0 : 1
    if (mime === 'audio/opus') return 0
    return 2
  }
  return codecs
    .map((codec, at) => ({ codec, at }))
    .sort((a, b) => rank(a.codec) - rank(b.codec) || a.at - b.at)
    .map((x) => x.codec)
}

/** Lets Chromium's picture begin at 1.2 Mbit/s: from its own 300 kbit/s it takes a quarter of a minute to become sharp. */
export function sharpStart(answer: string): string {
  const video = answer.indexOf('m=video')
  if (video < 0) return answer
  return answer.slice(0, video) + answer.slice(video).replace(/^(a=fmtp:\d+ (?!apt=)[^\r\n]+)/gm, '$1;x-google-start-bitrate=1200')
}

/** Goes on air, and stays there until closed. */
export function publish(options: PublishOptions): Publisher {
  const { onState } = options
  const tracks = new Map(options.stream.getTracks().map((t) => [t.kind, t]))
  // Who we are to the server: once another place has taken over, this one's coming back by itself is refused.
  const page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, '0')).join('')
  let pc: RTCPeerConnection | null = null
  let resource = ''
  let tries = 0
  let everOn = false
  let over = false
  let layered = true // until the browser or the server does not take it
  let timer: ReturnType<typeof setTimeout> | undefined
  let ticking: ReturnType<typeof setInterval> | undefined

  async function attempt(): Promise<void> {
    clearTimeout(timer)
    drop()
    if (over) return
    onState(everOn ? 'reconnecting' : 'connecting')
    const mine = (pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }))
    try {
      const layers = addTracks(mine, options.stream, tracks, options.maxBitrate ?? 2_500_000, layered)
      mine.onconnectionstatechange = () => mine === pc && changed(mine.connectionState)
      await mine.setLocalDescription(await mine.createOffer())
      await gathered(mine)
      if (mine !== pc) return
      const answer = await offer(`${options.url}?page=${page}`, mine.localDescription!.sdp, options.token)
      if (mine !== pc) return void withdraw(answer.location, options.token)
      resource = answer.location
      if (layers > 1 && !takesLayers(answer.sdp)) return single(answer.location)
      await mine.setRemoteDescription({ type: 'answer', sdp: sharpStart(answer.sdp) })
      if (mine === pc && mine.connectionState !== 'connected') timer = setTimeout(() => void again(), connectFor)
    } catch (error) {
      if (mine !== pc) return
      const problem = error as Partial<ApiError>
      if (typeof problem.status === 'number' && !worthAnotherTry(problem.status)) return refuse(error as ApiError)
      again(problem.retryAfter)
    }
  }

  /** The server wants one picture only: once more without layers. */
  function single(location: string): void {
    layered = false
    void withdraw(location, options.token)
    void attempt()
  }

  function changed(state: RTCPeerConnectionState): void {
    clearTimeout(timer)
    if (state === 'connected') {
      tries = 0
      everOn = true
      onState('on-air')
      watchLine()
    } else if (state === 'disconnected') {
      onState('reconnecting')
      timer = setTimeout(() => void attempt(), patience)
    } else if (state === 'failed') again()
  }

  /** Tries again after a pause that grows; never sooner than the server asked for. */
  function again(retryAfter = 0): void {
    clearTimeout(timer)
    if (over) return
    drop()
    onState(everOn ? 'reconnecting' : 'connecting')
    timer = setTimeout(() => void attempt(), Math.max(waitOf(tries++), retryAfter * 1000))
  }

  function refuse(error: ApiError): void {
    over = true
    drop()
    leave()
    onState('refused', error)
  }

  function watchLine(): void {
    clearInterval(ticking)
    const { onStats } = options
    if (!onStats) return
    let before: Counted | null = null
    ticking = setInterval(async () => {
      if (!pc) return
      const now = count(await pc.getStats())
      if (before) onStats(lineOf(before, now))
      before = now
    }, statsEvery)
  }

  /** Lets go of the connection; the server's end of it is taken over by the next one. */
  function drop(): void {
    clearInterval(ticking)
    if (pc) {
      pc.onconnectionstatechange = null
      pc.close()
    }
    pc = null
  }

  const hurry = (): void => {
    if (over || pc?.connectionState === 'connected') return
    tries = 0
    void attempt()
  }
  const gone = (): void => void (resource && withdraw(resource, options.token))
  window.addEventListener('online', hurry)
  window.addEventListener('pagehide', gone)
  function leave(): void {
    clearTimeout(timer)
    window.removeEventListener('online', hurry)
    window.removeEventListener('pagehide', gone)
  }

  void attempt()
  return {
    async replace(track) {
      tracks.set(track.kind, track)
      await pc
        ?.getSenders()
        .find((s) => s.track?.kind === track.kind)
        ?.replaceTrack(track)
    },
    hurry,
    async close() {
      if (over) return
      over = true
      leave()
      drop()
      onState('ended')
      if (resource) await withdraw(resource, options.token)
    },
  }
}

/** Adds sound and picture to an offer; gives the number of layers the picture is sent in. */
export function addTracks(
  pc: RTCPeerConnection,
  stream: MediaStream,
  tracks: ReadonlyMap<string, MediaStreamTrack>,
  maxBitrate: number,
  layered: boolean,
): number {
  let layers = 0
  for (const kind of ['audio', 'video']) {
    const track = tracks.get(kind)
    if (!track) continue
    const transceiver = kind === 'video' ? addPicture(pc, stream, track, maxBitrate, layered) : addOne(pc, stream, track)
    if (kind === 'video') layers = transceiver.sender?.getParameters?.().encodings?.length || 1
    const codecs = RTCRtpSender.getCapabilities?.(kind)?.codecs
    if (codecs && 'setCodecPreferences' in transceiver) transceiver.setCodecPreferences(preferred(codecs))
  }
  return layers
}

function addPicture(
  pc: RTCPeerConnection,
  stream: MediaStream,
  track: MediaStreamTrack,
  most: number,
  layered: boolean,
): RTCRtpTransceiver {
  const layers = layered ? layersOfTrack(track, most) : []
  if (layers.length > 1)
    try {
      return addOne(pc, stream, track, layers)
    } catch {
      // an older browser that knows one encoding only
    }
  return addOne(pc, stream, track, [{ maxBitrate: most }])
}

const addOne = (pc: RTCPeerConnection, stream: MediaStream, track: MediaStreamTrack, sendEncodings?: RTCRtpEncodingParameters[]) =>
  pc.addTransceiver(track, { direction: 'sendonly', streams: [stream], sendEncodings })

/** Resolves when the candidates of this machine are there, or it took too long. */
export function gathered(pc: RTCPeerConnection): Promise<void> {
  if (pc.iceGatheringState === 'complete') return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => pc.iceGatheringState === 'complete' && resolve()
    pc.addEventListener('icegatheringstatechange', done)
    setTimeout(resolve, gatherFor)
  })
}

/** What getStats counts, summed over sound and picture. */
export interface Counted {
  at: number // ms
  bytes: number
  rtt: number | null
  loss: number | null
  fps: number | null
  height: number | null
  limited: LineStats['limited']
}

/** Reads a report of RTCPeerConnection.getStats. */
export function count(report: Iterable<[string, unknown]>): Counted {
  const c: Counted = { at: 0, bytes: 0, rtt: null, loss: null, fps: null, height: null, limited: 'none' }
  for (const [, value] of report) {
    const s = value as Record<string, unknown> & { type: string; timestamp: number }
    const number = (key: string): number | null => (typeof s[key] === 'number' ? (s[key] as number) : null)
    if (s.type === 'outbound-rtp') {
      c.at = Math.max(c.at, s.timestamp)
      c.bytes += number('bytesSent') ?? 0
      if (s.kind === 'video') countPicture(c, number('framesPerSecond'), number('frameHeight'), s.qualityLimitationReason)
    } else if (s.type === 'remote-inbound-rtp') {
      c.rtt = number('roundTripTime') ?? c.rtt
      const loss = number('fractionLost')
      if (loss !== null) c.loss = Math.max(c.loss ?? 0, loss)
    } else if (s.type === 'candidate-pair' && s.nominated === true) {
      c.rtt ??= number('currentRoundTripTime')
    }
  }
  return c
}

/** One layer of the picture: the largest that is sent tells size and frames, the worst what limits it. */
function countPicture(c: Counted, fps: number | null, height: number | null, reason: unknown): void {
  if (height !== null && height > (c.height ?? 0)) [c.height, c.fps] = [height, fps]
  const limited = (reason as LineStats['limited'] | undefined) ?? 'none'
  if (worst.indexOf(limited) > worst.indexOf(c.limited)) c.limited = limited
}
const worst: LineStats['limited'][] = ['none', 'other', 'cpu', 'bandwidth']

/** The line between two counts. */
export function lineOf(before: Counted, now: Counted): LineStats {
  const seconds = (now.at - before.at) / 1000
  const bitrate = seconds > 0 ? Math.max(0, ((now.bytes - before.bytes) * 8) / seconds) : 0
  return { bitrate, rtt: now.rtt, loss: now.loss, fps: now.fps, height: now.height, limited: now.limited }
}
