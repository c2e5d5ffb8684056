import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { watch, type Seat, type Watch, type WatchState } from './whep'

const answer = 'm=video 9 X 1\r\na=mid:0\r\na=ice-ufrag:old\r\na=ice-pwd:old\r\n'

/** A connection that does what the test says. */
class FakeConnection {
  static all: FakeConnection[] = []
  connectionState: RTCPeerConnectionState = 'new'
  onconnectionstatechange: (() => void) | null = null
  ontrack: ((e: unknown) => void) | null = null
  localDescription: { sdp: string } | null = null
  remotes: string[] = []
  kinds: string[] = []
  restarts = 0
  closed = false
  packets = 0
  constructor() {
    FakeConnection.all.push(this)
  }
  addTransceiver(kind: string) {
    this.kinds.push(kind)
  }
  async createOffer(o?: { iceRestart?: boolean }) {
    if (o?.iceRestart) this.restarts++
    return { sdp: `m=video 9 X 1\r\na=mid:0\r\na=ice-ufrag:mine${this.restarts}\r\na=ice-pwd:mine\r\n` }
  }
  async setLocalDescription(d: { sdp: string }) {
    this.localDescription = d
  }
  async setRemoteDescription(d: { sdp: string }) {
    this.remotes.push(d.sdp)
  }
  async getStats() {
    return new Map([
      ['a', { type: 'inbound-rtp', kind: 'video', trackIdentifier: 'v', packetsReceived: this.packets, framesDecoded: this.packets }],
    ])
  }
  close() {
    this.closed = true
  }
  become(state: RTCPeerConnectionState) {
    this.connectionState = state
    this.onconnectionstatechange?.()
  }
}

const resource = '/api/v1/sessions/7/whep/r'
let asked: { method: string; url: string; body: string }[]
let replies: Record<string, () => Promise<Response>>
let states: WatchState[]
let seats: Seat[]
let expected: boolean
const of = (method: string) => asked.filter((a) => a.method === method)
const settle = () => vi.advanceTimersByTimeAsync(0)
let watching: Watch[] = []
function start(options = {}): Watch {
  const hooks = { onState: (s: WatchState) => states.push(s), onSeats: (s: Seat[]) => (seats = s), expected: () => expected }
  const w = watch(7, 2, hooks, options)
  watching.push(w)
  return w
}
const last = () => FakeConnection.all.at(-1)!

beforeEach(() => {
  vi.useFakeTimers()
  FakeConnection.all = []
  asked = []
  states = []
  seats = []
  expected = false
  replies = {
    POST: async () =>
      new Response(answer, {
        status: 201,
        headers: { Location: resource, Link: `<${resource}/picture>; rel="urn:duoduopin:whep:picture"` },
      }),
    PATCH: async () => new Response('a=ice-ufrag:new\r\na=ice-pwd:new\r\n', { status: 200 }),
    PUT: async () => new Response('{}', { status: 200 }),
    DELETE: async () => new Response(null, { status: 200 }),
  }
  vi.stubGlobal('RTCPeerConnection', FakeConnection)
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    asked.push({ method: init.method!, url: String(url), body: String(init.body ?? '') })
    return replies[init.method!]!()
  })
})
afterEach(() => {
  for (const w of watching) w.close()
  watching = []
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('watch', () => {
  it('asks once with a place for every anchor, and says goodbye', async () => {
    const w = start()
    await settle()
    expect(last().kinds).toEqual(['video', 'video', 'audio', 'audio'])
    last().become('connected')
    expect(states).toEqual(['connecting', 'playing'])
    w.close()
    expect(of('DELETE')).toHaveLength(1)
    expect(states.at(-1)).toBe('closed')
  })
  it('asks for the others only as an anchor', async () => {
    start({ talkback: true })
    await settle()
    expect(of('POST')[0]!.url).toContain('?talkback=1')
  })
  it('tells its wish to every new connection', async () => {
    const w = start({ wish: { quality: 'smooth' } })
    await settle()
    last().become('connected')
    w.want({ focus: 'anchor2' })
    await settle()
    expect(of('PUT').map((p) => JSON.parse(p.body))).toEqual([
      { quality: 'smooth', video: true, focus: '' },
      { quality: 'smooth', video: true, focus: 'anchor2' },
    ])
    last().become('failed')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(of('PUT')).toHaveLength(3)
  })
  it('takes another path by an ICE restart before making everything anew', async () => {
    start()
    await settle()
    last().become('connected')
    last().become('disconnected')
    await settle()
    expect(of('PATCH')[0]!.body).toContain('a=ice-ufrag:mine1')
    expect(last().remotes.at(-1)).toContain('a=ice-ufrag:new')
    last().become('connected')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(of('POST').length).toBe(1)
    expect(states).toEqual(['connecting', 'playing', 'reconnecting', 'playing'])
  })
  it('restarts when the network comes back', async () => {
    start()
    await settle()
    last().become('connected')
    window.dispatchEvent(new Event('online'))
    await settle()
    expect([of('PATCH').length, of('POST').length]).toEqual([1, 1])
  })
  it('begins anew at the origin when the restart does not help', async () => {
    start()
    await settle()
    last().become('connected')
    last().become('disconnected')
    await vi.advanceTimersByTimeAsync(4_100)
    expect(of('POST').map((p) => p.url)).toEqual(['/api/v1/sessions/7/whep', '/api/v1/sessions/7/whep'])
  })
  it('begins anew at once when the resource is gone', async () => {
    replies.PATCH = async () => new Response('{}', { status: 404 })
    start()
    await settle()
    last().become('connected')
    last().become('disconnected')
    await settle()
    expect(of('POST')).toHaveLength(2)
  })
  it('gives up on WebRTC after two connections that never came up', async () => {
    start()
    await vi.advanceTimersByTimeAsync(30_000)
    expect(of('POST')).toHaveLength(2)
    expect(states.at(-1)).toBe('unable')
  })
  it('gives up after two connections without media while somebody is on air, not before', async () => {
    start()
    await settle()
    last().become('connected')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(of('POST')).toHaveLength(1)
    expected = true
    await vi.advanceTimersByTimeAsync(10_000)
    last().become('connected')
    await vi.advanceTimersByTimeAsync(10_000)
    expect(of('POST')).toHaveLength(2)
    expect(states.at(-1)).toBe('unable')
  })
  it('knows a browser without WebRTC and a codec nobody shares', async () => {
    replies.POST = async () => new Response(JSON.stringify({ type: '/problems/sdp' }), { status: 422 })
    start()
    await settle()
    expect(states.at(-1)).toBe('unable')
    vi.stubGlobal('RTCPeerConnection', undefined)
    start()
    expect(states.at(-1)).toBe('unable')
  })
  it('does not take a picture that it stopped itself for a stalled one', async () => {
    const w = start()
    await settle()
    last().become('connected')
    const track = { kind: 'video', id: 'v', muted: false }
    last().ontrack!({ streams: [{ id: 'anchor1' }], track })
    last().packets = 10
    w.want({ video: false })
    await vi.advanceTimersByTimeAsync(20_000)
    expect(seats.map((s) => [s.name, s.moving])).toEqual([['anchor1', true]])
    w.want({ video: true })
    await vi.advanceTimersByTimeAsync(20_000)
    expect(seats[0]!.moving).toBe(false)
  })

  it('asks the origin itself when the edge can not be reached, once', async () => {
    const served = replies.POST!
    replies.POST = () => Promise.reject(new TypeError('blocked'))
    start()
    await settle()
    replies.POST = served
    await vi.advanceTimersByTimeAsync(5000)
    expect(of('POST').map((p) => p.url)).toEqual(['/api/v1/sessions/7/whep', '/api/v1/sessions/7/whep?direct=1'])
    last().become('connected')
    last().become('failed')
    await vi.advanceTimersByTimeAsync(20_000)
    expect(of('POST')[2]?.url).toBe('/api/v1/sessions/7/whep')
  })
})
