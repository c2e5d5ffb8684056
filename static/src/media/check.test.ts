import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkLine } from './check'

class FakeConnection extends EventTarget {
  static last: FakeConnection
  static state: RTCPeerConnectionState = 'connected'
  connectionState = FakeConnection.state
  iceGatheringState = 'complete'
  localDescription = { sdp: 'offer' }
  closed = false
  bytes = 0
  at = 0
  constructor() {
    super()
    FakeConnection.last = this
  }
  addTransceiver(track: { kind: string }) {
    return { sender: { track, getParameters: () => ({ encodings: [{}, {}, {}] }) } }
  }
  getSenders() {
    return []
  }
  async createOffer() {}
  async setLocalDescription() {}
  async setRemoteDescription() {}
  async getStats() {
    this.bytes += 250_000
    this.at += 1_000
    return new Map<string, object>([
      ['c', { type: 'candidate-pair', nominated: true, availableOutgoingBitrate: 4_000_000 }],
      ['v', { type: 'outbound-rtp', kind: 'video', timestamp: this.at, bytesSent: this.bytes }],
    ])
  }
  close() {
    this.closed = true
  }
}

const stream = { getTracks: () => [{ kind: 'audio' }, { kind: 'video' }] } as unknown as MediaStream
const result = { seconds: 6, bitrate: 2_000_000, loss: 0, jitter_ms: 2, rtt_ms: 20, verdict: 'good', causes: [] }
let asked: string[]
let post: () => Response
beforeEach(() => {
  vi.useFakeTimers()
  asked = []
  FakeConnection.state = 'connected'
  post = () => new Response('a=simulcast:recv q;h;f', { status: 201, headers: { Location: '/api/v1/media-check/c' } })
  vi.stubGlobal('RTCPeerConnection', FakeConnection)
  vi.stubGlobal('RTCRtpSender', {})
  vi.stubGlobal('fetch', async (to: string, init: RequestInit = {}) => {
    asked.push(`${init.method ?? 'GET'} ${new URL(to, location.href).pathname}`)
    return init.method === 'POST' ? post() : new Response(JSON.stringify(result))
  })
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('checkLine', () => {
  it('sends six seconds, asks what came of it, and cleans up', async () => {
    const seen: number[] = []
    const check = checkLine(stream, (p) => seen.push(p.bitrate), new AbortController().signal)
    await vi.advanceTimersByTimeAsync(6_000)
    expect(await check).toEqual({ ...result, available: 4_000_000 })
    expect(seen).toEqual(Array.from({ length: 6 }, () => 2_000_000))
    expect(asked).toEqual(['POST /api/v1/media-check', 'GET /api/v1/media-check/c', 'DELETE /api/v1/media-check/c'])
    expect(FakeConnection.last.closed).toBe(true)
  })
  it('says that the server has no such check', async () => {
    post = () => new Response('', { status: 404 })
    await expect(checkLine(stream, () => {}, new AbortController().signal)).rejects.toMatchObject({ status: 404 })
    expect(asked).toEqual(['POST /api/v1/media-check'])
  })
  it('says that nothing gets through', async () => {
    FakeConnection.state = 'connecting'
    const check = checkLine(stream, () => {}, new AbortController().signal)
    const refused = expect(check).rejects.toMatchObject({ code: 'no-media' })
    await vi.advanceTimersByTimeAsync(10_000)
    await refused
    expect(asked.at(-1)).toBe('DELETE /api/v1/media-check/c')
  })
  it('stops when it is called off', async () => {
    const off = new AbortController()
    const check = checkLine(stream, () => {}, off.signal)
    const refused = expect(check).rejects.toThrow()
    await vi.advanceTimersByTimeAsync(1_500)
    off.abort()
    await vi.advanceTimersByTimeAsync(1_000)
    await refused
    expect(asked.at(-1)).toBe('DELETE /api/v1/media-check/c')
  })
})
