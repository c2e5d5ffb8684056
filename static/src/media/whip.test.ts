import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { count, lineOf, preferred, publish, sharpStart, type PublishState, worthAnotherTry } from './whip'

/** A connection that does what the test says. */
class FakeConnection {
  static all: FakeConnection[] = []
  static mostEncodings = 3
  connectionState: RTCPeerConnectionState = 'new'
  iceGatheringState = 'complete'
  onconnectionstatechange: (() => void) | null = null
  localDescription: { sdp: string } | null = null
  answer = ''
  closed = false
  senders: { track: { kind: string } | null; replaceTrack: ReturnType<typeof vi.fn> }[] = []
  constructor() {
    FakeConnection.all.push(this)
  }
  encodings: { rid?: string }[] = []
  addTransceiver(track: { kind: string }, init: { sendEncodings?: { rid?: string }[] }) {
    const sendEncodings = init.sendEncodings ?? [{}]
    if (sendEncodings.length > FakeConnection.mostEncodings) throw new TypeError('one encoding only')
    if (track.kind === 'video') this.encodings = sendEncodings
    const sender = { track, replaceTrack: vi.fn(), getParameters: () => ({ encodings: sendEncodings }) }
    this.senders.push(sender)
    return { sender, setCodecPreferences() {} }
  }
  getSenders() {
    return this.senders
  }
  async createOffer() {
    return { type: 'offer', sdp: 'offer' }
  }
  async setLocalDescription(d: { sdp: string }) {
    this.localDescription = d
  }
  async setRemoteDescription(d: { sdp: string }) {
    this.answer = d.sdp
  }
  addEventListener() {}
  async getStats() {
    return new Map()
  }
  close() {
    this.closed = true
  }
  become(state: RTCPeerConnectionState) {
    this.connectionState = state
    this.onconnectionstatechange?.()
  }
}

const stream = { getTracks: () => [{ kind: 'audio' }, { kind: 'video' }] } as unknown as MediaStream
const answer = 'answer\r\na=simulcast:recv q;h;f\r\n'
const answered = (sdp = answer) => new Response(sdp, { status: 201, headers: { Location: '/api/v1/sessions/7/whip/abc' } })
const problem = (status: number, code: string, headers = {}) =>
  new Response(JSON.stringify({ type: `/problems/${code}`, status }), { status, headers })

let asked: { method: string; url: string }[]
let reply: () => Promise<Response>
let states: PublishState[]
const start = () => publish({ url: '/api/v1/sessions/7/whip', stream, onState: (s) => states.push(s) })
const posts = () => asked.filter((a) => a.method === 'POST').length

beforeEach(() => {
  vi.useFakeTimers()
  FakeConnection.all = []
  FakeConnection.mostEncodings = 3
  asked = []
  states = []
  reply = async () => answered()
  vi.stubGlobal('RTCPeerConnection', FakeConnection)
  vi.stubGlobal('RTCRtpSender', { getCapabilities: () => ({ codecs: [] }) })
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    asked.push({ method: init.method!, url })
    return init.method === 'POST' ? reply() : Promise.resolve(new Response(null, { status: 200 }))
  })
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})
const settle = () => vi.advanceTimersByTimeAsync(0)

describe('publish', () => {
  it('goes on air with one POST, and says goodbye to the resource', async () => {
    const p = start()
    await settle()
    FakeConnection.all[0]!.become('connected')
    expect(states).toEqual(['connecting', 'on-air'])
    expect(FakeConnection.all[0]!.answer).toBe(answer)
    await p.close()
    expect(states.at(-1)).toBe('ended')
    expect(asked.at(-1)).toMatchObject({ method: 'DELETE' })
    expect(asked.at(-1)!.url).toContain('/api/v1/sessions/7/whip/abc')
    await p.close()
    expect(asked.filter((a) => a.method === 'DELETE')).toHaveLength(1)
  })

  it('publishes again after the connection failed', async () => {
    start()
    await settle()
    FakeConnection.all[0]!.become('connected')
    FakeConnection.all[0]!.become('failed')
    expect(states.at(-1)).toBe('reconnecting')
    await vi.advanceTimersByTimeAsync(1000)
    expect(posts()).toBe(2)
    FakeConnection.all[1]!.become('connected')
    expect(states.at(-1)).toBe('on-air')
  })

  it('waits a moment in "disconnected", which often heals', async () => {
    start()
    await settle()
    FakeConnection.all[0]!.become('connected')
    FakeConnection.all[0]!.become('disconnected')
    await vi.advanceTimersByTimeAsync(2000)
    FakeConnection.all[0]!.become('connected')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(posts()).toBe(1)
    expect(states.at(-1)).toBe('on-air')
  })

  it('comes back at once when the network does', async () => {
    reply = () => Promise.reject(new TypeError('no network'))
    start()
    await vi.advanceTimersByTimeAsync(20_000)
    reply = async () => answered()
    const before = posts()
    window.dispatchEvent(new Event('online'))
    await settle()
    expect(posts()).toBe(before + 1)
  })

  it('gives up on a refusal and says why', async () => {
    reply = async () => problem(403, 'not-yours')
    let code = ''
    publish({ url: '/x', stream, onState: (s, e) => (states.push(s), (code = e?.code ?? code)) })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(states).toEqual(['connecting', 'refused'])
    expect(code).toBe('not-yours')
    expect(posts()).toBe(1)
  })

  it('does not ask sooner than a busy server wishes', async () => {
    reply = async () => problem(503, 'stopping', { 'Retry-After': '5' })
    start()
    await vi.advanceTimersByTimeAsync(4900)
    expect(posts()).toBe(1)
    await vi.advanceTimersByTimeAsync(200)
    expect(posts()).toBe(2)
  })

  it('tries again when media does not come up', async () => {
    start()
    await vi.advanceTimersByTimeAsync(13_000)
    expect(posts()).toBe(2)
    expect(FakeConnection.all[0]!.closed).toBe(true)
  })

  it('takes the resource down when it was closed while asking', async () => {
    let arrive: (r: Response) => void = () => {}
    reply = () => new Promise((resolve) => (arrive = resolve))
    const p = start()
    await settle()
    await p.close()
    arrive(answered())
    await settle()
    expect(asked.at(-1)!.method).toBe('DELETE')
  })

  it('sends the picture in three sizes', async () => {
    start()
    await settle()
    expect(FakeConnection.all[0]!.encodings.map((e) => e.rid)).toEqual(['q', 'h', 'f'])
  })

  it('sends one size where the browser knows no other', async () => {
    FakeConnection.mostEncodings = 1
    start()
    await settle()
    expect(FakeConnection.all[0]!.encodings.map((e) => e.rid)).toEqual([undefined])
    expect(posts()).toBe(1)
  })

  it('publishes once more with one size when the server takes no layers', async () => {
    reply = async () => answered('answer')
    start()
    await settle()
    expect(posts()).toBe(2)
    expect(asked.filter((a) => a.method === 'DELETE')).toHaveLength(1)
    expect(FakeConnection.all[1]!.encodings).toHaveLength(1)
    FakeConnection.all[1]!.become('connected')
    expect(states.at(-1)).toBe('on-air')
  })

  it('sends another track without a new connection', async () => {
    const p = start()
    await settle()
    const track = { kind: 'video' } as MediaStreamTrack
    await p.replace(track)
    expect(FakeConnection.all[0]!.senders[1]!.replaceTrack).toHaveBeenCalledWith(track)
    expect(posts()).toBe(1)
  })
})

describe('worthAnotherTry', () => {
  it('knows which answers may change', () => {
    expect([0, 408, 429, 500, 503].every(worthAnotherTry)).toBe(true)
    expect([400, 401, 403, 404, 409, 415, 422].some(worthAnotherTry)).toBe(false)
  })
})

describe('preferred', () => {
  it('puts H.264 first and keeps the rest', () => {
    const codecs = [
      { mimeType: 'video/VP8' },
      { mimeType: 'video/rtx' },
      { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=0' },
      { mimeType: 'video/H264', sdpFmtpLine: 'level-asymmetry-allowed=1;packetization-mode=1' },
      { mimeType: 'video/AV1' },
    ]
    const got = preferred(codecs)
    expect(got.map((c) => c.mimeType)).toEqual(['video/H264', 'video/H264', 'video/VP8', 'video/rtx', 'video/AV1'])
    expect(got[0]!.sdpFmtpLine).toContain('packetization-mode=1')
  })
})

describe('sharpStart', () => {
  it('touches the picture only', () => {
    const answer = 'm=audio 9\r\na=fmtp:111 minptime=10\r\nm=video 9\r\na=fmtp:102 profile-level-id=42e01f\r\na=fmtp:103 apt=102\r\n'
    expect(sharpStart(answer)).toBe(answer.replace('42e01f', '42e01f;x-google-start-bitrate=1200'))
    expect(sharpStart('m=audio 9\r\n')).toBe('m=audio 9\r\n')
  })
})

describe('line', () => {
  const report = (bytes: number, at: number): [string, unknown][] => [
    ['a', { type: 'outbound-rtp', kind: 'audio', timestamp: at, bytesSent: 1000 }],
    [
      'v',
      {
        type: 'outbound-rtp',
        kind: 'video',
        timestamp: at,
        bytesSent: bytes,
        framesPerSecond: 30,
        frameHeight: 720,
        qualityLimitationReason: 'bandwidth',
      },
    ],
    ['r', { type: 'remote-inbound-rtp', timestamp: at, roundTripTime: 0.04, fractionLost: 0.02 }],
    ['c', { type: 'candidate-pair', timestamp: at, nominated: true, currentRoundTripTime: 0.5 }],
  ]
  it('is the difference of two counts', () => {
    const line = lineOf(count(report(0, 1000)), count(report(500_000, 3000)))
    expect(line).toEqual({ bitrate: 2_000_000, rtt: 0.04, loss: 0.02, fps: 30, height: 720, limited: 'bandwidth' })
  })
  it('tells the largest layer that is sent, and the worst limit', () => {
    const layer = (id: string, more: object): [string, unknown] => [
      id,
      { type: 'outbound-rtp', kind: 'video', timestamp: 1000, bytesSent: 10, ...more },
    ]
    const got = count([
      layer('f', { qualityLimitationReason: 'bandwidth' }), // switched off by the browser
      layer('h', { frameHeight: 360, framesPerSecond: 25, qualityLimitationReason: 'none' }),
      layer('q', { frameHeight: 180, framesPerSecond: 15, qualityLimitationReason: 'none' }),
    ])
    expect(got).toMatchObject({ bytes: 30, height: 360, fps: 25, limited: 'bandwidth' })
  })
  it('is nothing without time between', () => {
    expect(lineOf(count(report(0, 1000)), count(report(9, 1000))).bitrate).toBe(0)
  })
})
