import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openRoom, waitOf, type Room, type RoomState } from './room'
import type { RoomEvent } from './types'

class FakeSocket {
  static readonly CONNECTING = 0
  static readonly OPEN = 1
  static all: FakeSocket[] = []
  static get last(): FakeSocket {
    return FakeSocket.all.at(-1)!
  }
  readyState = 0
  sent: unknown[] = []
  onopen: (() => void) | null = null
  onmessage: ((m: { data: unknown }) => void) | null = null
  onclose: ((e: { code: number; reason: string }) => void) | null = null
  constructor(readonly url: string) {
    FakeSocket.all.push(this)
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text))
  }
  close(): void {
    this.readyState = 3
  }
  open(): this {
    this.readyState = 1
    this.onopen?.()
    return this
  }
  tell(...events: object[]): void {
    this.onmessage?.({ data: JSON.stringify(events) })
  }
  end(code: number, reason = ''): void {
    this.readyState = 3
    this.onclose?.({ code, reason })
  }
  get query(): Record<string, string> {
    return Object.fromEntries(new URL(this.url).searchParams)
  }
}

class FakeStream {
  static readonly CLOSED = 2
  static all: FakeStream[] = []
  static get last(): FakeStream {
    return FakeStream.all.at(-1)!
  }
  readyState = 0
  onopen: (() => void) | null = null
  onmessage: ((m: { data: unknown }) => void) | null = null
  onerror: (() => void) | null = null
  ended: ((m: { data: unknown }) => void) | null = null
  constructor(readonly url: string) {
    FakeStream.all.push(this)
  }
  addEventListener(_: string, f: (m: { data: unknown }) => void): void {
    this.ended = f
  }
  close(): void {
    this.readyState = 2
  }
}

const hello = (resumed: boolean, seq = 0, epoch = 'e1') => ({ type: 'hello', seq, resumed, epoch })
const chat = (seq: number) => ({ type: 'chat', seq, text: `n${seq}` })

let events: RoomEvent[]
let readOnly: boolean[]
let states: (RoomState | [RoomState, number])[]
const seqs = () => events.filter((e) => e.type === 'chat').map((e) => e.seq)
let rooms: Room[] = []
function join(): Room {
  const room = openRoom(7, {
    onEvents: (batch) => events.push(...batch),
    onState: (state, code) => states.push(code ? [state, code] : state),
    onReadOnly: (is) => readOnly.push(is),
  })
  rooms.push(room)
  return room
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('WebSocket', FakeSocket)
  vi.stubGlobal('EventSource', FakeStream)
  FakeStream.all = []
  readOnly = []
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  FakeSocket.all = []
  events = []
  states = []
})
afterEach(() => {
  rooms.forEach((r) => r.close())
  rooms = []
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('a room', () => {
  it('hands events on in order and asks for nothing special the first time', () => {
    join()
    FakeSocket.last.open().tell(hello(false), chat(4), chat(5))
    expect(new URL(FakeSocket.last.url).pathname).toBe('/api/v1/sessions/7/ws')
    expect(FakeSocket.last.query).toEqual({})
    expect(seqs()).toEqual([4, 5])
    expect(states).toEqual(['connecting', 'open'])
  })

  it('comes back with ?after and drops what it already has', () => {
    join()
    FakeSocket.last.open().tell(hello(false), chat(4), chat(5))
    FakeSocket.last.end(1006)
    vi.advanceTimersByTime(500)
    expect(FakeSocket.all).toHaveLength(2)
    expect(FakeSocket.last.query).toEqual({ after: '5', epoch: 'e1' })
    FakeSocket.last.open().tell(hello(true, 6), chat(5), chat(6))
    expect(seqs()).toEqual([4, 5, 6])
    expect(states).toEqual(['connecting', 'open', 'reconnecting', 'open'])
  })

  it('starts over when the server can not resume', () => {
    join()
    FakeSocket.last.open().tell(hello(false), chat(90))
    FakeSocket.last.end(4509)
    vi.advanceTimersByTime(500)
    FakeSocket.last.open().tell(hello(false, 2, 'e2'), chat(1), chat(2))
    expect(seqs()).toEqual([90, 1, 2])
    FakeSocket.last.end(1006)
    vi.advanceTimersByTime(1000)
    expect(FakeSocket.last.query).toEqual({ after: '2', epoch: 'e2' })
  })

  it.each([4400, 4401, 4404, 4410, 4429, 1009])('stays away after %i', (code) => {
    join()
    FakeSocket.last.open().end(code)
    vi.advanceTimersByTime(120_000)
    window.dispatchEvent(new Event('online'))
    expect(FakeSocket.all).toHaveLength(1)
    expect(states.at(-1)).toEqual(['closed', code])
  })

  it.each([1001, 1006, 1012, 4508, 4999])('comes back after %i', (code) => {
    join()
    FakeSocket.last.open().end(code)
    vi.advanceTimersByTime(600)
    expect(FakeSocket.all).toHaveLength(2)
  })

  it('waits as long as a restarting server asks', () => {
    join()
    FakeSocket.last.open().end(1012, 'retry_ms=4000')
    vi.advanceTimersByTime(3900)
    expect(FakeSocket.all).toHaveLength(1)
    vi.advanceTimersByTime(200)
    expect(FakeSocket.all).toHaveLength(2)
  })

  it('waits longer each time, also when the server accepts and closes at once', () => {
    join()
    for (const wait of [500, 1000, 2000, 4000]) {
      FakeSocket.last.open().end(1006)
      const before = FakeSocket.all.length
      vi.advanceTimersByTime(wait - 1)
      expect(FakeSocket.all).toHaveLength(before)
      vi.advanceTimersByTime(1)
      expect(FakeSocket.all).toHaveLength(before + 1)
    }
    FakeSocket.last.open()
    vi.advanceTimersByTime(5000) // it held: the waits start over
    FakeSocket.last.end(1006)
    vi.advanceTimersByTime(500)
    expect(FakeSocket.all).toHaveLength(6)
  })

  it('comes back at once when the network does', () => {
    join()
    FakeSocket.last.end(1006)
    window.dispatchEvent(new Event('online'))
    expect(FakeSocket.all).toHaveLength(2)
  })

  it('sends only on an open line', () => {
    const room = join()
    expect(room.send({ type: 'like', count: 1 })).toBe(false)
    FakeSocket.last.open()
    expect(room.send({ type: 'like', count: 2 })).toBe(true)
    expect(FakeSocket.last.sent).toEqual([{ type: 'like', count: 2 }])
    FakeSocket.last.end(1006)
    expect(room.send({ type: 'share' })).toBe(false)
  })

  it('is quiet after close', () => {
    const room = join()
    const socket = FakeSocket.last.open()
    room.close()
    socket.tell(chat(1))
    vi.advanceTimersByTime(60_000)
    expect(events).toEqual([])
    expect(FakeSocket.all).toHaveLength(1)
    expect(states.at(-1)).toBe('closed')
  })

  it('survives frames it can not read', () => {
    join()
    FakeSocket.last.open().onmessage?.({ data: '{not json' })
    FakeSocket.last.onmessage?.({ data: '{"type":"chat"}' })
    FakeSocket.last.tell(chat(1))
    expect(seqs()).toEqual([1])
  })
})

describe('where no socket gets through', () => {
  /** Three sockets that never open. */
  function blocked(): Room {
    const room = join()
    for (const wait of [500, 1000, 2000]) {
      FakeSocket.last.end(1006)
      vi.advanceTimersByTime(wait)
    }
    return room
  }

  it('reads by server-sent events after three that never opened, and says so', () => {
    const room = blocked()
    expect([FakeSocket.all.length, FakeStream.all.length]).toEqual([3, 1])
    FakeStream.last.onopen?.()
    FakeStream.last.onmessage?.({ data: JSON.stringify([hello(false), chat(4)]) })
    expect(seqs()).toEqual([4])
    expect(readOnly).toEqual([true])
    expect(states.at(-1)).toBe('open')
    expect(room.send({ type: 'share' })).toBe(false)
  })

  it('goes over to a socket as soon as one opens, without a gap', () => {
    blocked()
    FakeStream.last.onopen?.()
    FakeStream.last.onmessage?.({ data: JSON.stringify([hello(false), chat(4)]) })
    vi.advanceTimersByTime(5000)
    FakeSocket.last.end(1006)
    vi.advanceTimersByTime(30_000)
    expect(FakeSocket.all).toHaveLength(5)
    expect(FakeSocket.last.query).toEqual({ after: '4', epoch: 'e1' })
    FakeSocket.last.open().tell(hello(true), chat(5))
    expect(FakeStream.last.readyState).toBe(2)
    expect([seqs(), readOnly.at(-1), states.at(-1)]).toEqual([[4, 5], false, 'open'])
  })

  it('tries sockets first again when neither gets through', () => {
    blocked()
    FakeStream.last.onerror?.()
    vi.advanceTimersByTime(4000)
    expect([FakeSocket.all.length, FakeStream.all.length]).toEqual([4, 1])
  })

  it.each([
    [403, 4403],
    [204, 4410],
  ])('learns from %i why it is refused', async (status, code) => {
    vi.stubGlobal('fetch', () => Promise.resolve({ status }))
    blocked()
    FakeStream.last.readyState = 2
    FakeStream.last.onerror?.()
    await vi.advanceTimersByTimeAsync(0)
    expect(states.at(-1)).toEqual(['closed', code])
  })

  it('stays away when the server ends the stream for good', () => {
    blocked()
    FakeStream.last.onopen?.()
    FakeStream.last.ended?.({ data: '{"code":4410,"reason":""}' })
    expect(states.at(-1)).toEqual(['closed', 4410])
  })
})

describe('waitOf', () => {
  it('doubles to a quarter minute, spread by half each way', () => {
    expect([0, 1, 2, 20].map((n) => waitOf(n, () => 0.5))).toEqual([500, 1000, 2000, 15_000])
    expect(waitOf(0, () => 0)).toBe(250)
    expect(waitOf(0, () => 1)).toBe(750)
  })
})
