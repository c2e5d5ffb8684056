// The conversation with a room: one WebSocket that comes back by itself and asks for what it missed. The close codes
// that decide whether it comes back are in docs/protocol.md. Plain TypeScript without the framework.
import type { RoomEvent, RoomMessage } from './types'

export type RoomState = 'connecting' | 'open' | 'reconnecting' | 'closed'

export interface RoomHooks {
  /** Events in order, each kept one (with seq) once. A hello with resumed=false starts over: what is shown is stale. */
  onEvents(events: RoomEvent[]): void
  /** `code` with 'closed': why the server does not want us back (4401 sign in again, 4404 no such room, 4410 over). */
  onState(state: RoomState, code?: number): void
}

export interface Room {
  /** False when the line is down: nothing was sent. */
  send(msg: RoomMessage): boolean
  close(): void
}

const firstWait = 500
const longestWait = 15_000
const steady = 5_000 // a line that held this long starts the waits over
const silent = 35_000 // the server beats every 25 s; a socket that is silent for longer is dead without knowing
const asleep = 30_000 // hidden this long, a socket may be dead without knowing

/** Joins a session's room until close() or until the server says not to come back. */
export function openRoom(sessionId: number, hooks: RoomHooks): Room {
  return new Line(sessionId, hooks)
}

class Line implements Room {
  private socket: WebSocket | undefined
  private state: RoomState | undefined
  private seq = 0 // newest kept event we have
  private epoch: string | number | undefined
  private tries = 0
  private wake: ReturnType<typeof setTimeout> | undefined
  private calm: ReturnType<typeof setTimeout> | undefined
  private hiddenAt = 0
  private watchdog: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly sessionId: number,
    private readonly hooks: RoomHooks,
  ) {
    addEventListener('online', this.onOnline)
    document.addEventListener('visibilitychange', this.onVisibility)
    this.tell('connecting')
    this.connect()
  }

  send(msg: RoomMessage): boolean {
    if (this.state !== 'open' || this.socket?.readyState !== WebSocket.OPEN) return false
    this.socket.send(JSON.stringify(msg))
    return true
  }

  close(): void {
    this.finish()
  }

  private connect(): void {
    clearTimeout(this.wake)
    this.drop()
    const socket = new WebSocket(this.address())
    this.socket = socket
    socket.onopen = () => {
      this.heard()
      this.tell('open')
      this.calm = setTimeout(() => (this.tries = 0), steady)
    }
    socket.onmessage = (m) => {
      this.heard()
      this.take(m.data)
    }
    socket.onclose = (e) => this.lost(e.code, e.reason)
  }

  /** Another address, say: nothing tells a browser that its socket leads nowhere, so silence has to. */
  private heard(): void {
    clearTimeout(this.watchdog)
    this.watchdog = setTimeout(() => this.comeBack(), silent)
  }

  /** Lets go of the present socket, whose late events then reach nobody. */
  private drop(): void {
    clearTimeout(this.calm)
    clearTimeout(this.watchdog)
    const old = this.socket
    this.socket = undefined
    if (!old) return
    old.onopen = old.onmessage = old.onclose = null
    if (old.readyState <= WebSocket.OPEN) old.close(1000)
  }

  private address(): string {
    const url = new URL(`/api/v1/sessions/${this.sessionId}/ws`, location.href)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    if (this.seq > 0) {
      url.searchParams.set('after', String(this.seq))
      if (this.epoch !== undefined) url.searchParams.set('epoch', String(this.epoch)) // which log the seq counts in
    }
    return url.href
  }

  private take(data: unknown): void {
    const events = parse(data).filter((e) => this.isNew(e))
    if (events.length > 0) this.hooks.onEvents(events)
  }

  /** Keeps count of the kept events; those we already had (a resume that overlaps) are dropped. */
  private isNew(e: RoomEvent): boolean {
    if (e.type === 'hello') {
      if (!e.resumed || (this.epoch !== undefined && e.epoch !== this.epoch)) this.seq = 0
      this.epoch = e.epoch
      return true
    }
    if (e.seq === undefined) return true
    if (e.seq <= this.seq) return false
    this.seq = e.seq
    return true
  }

  private lost(code: number, reason: string): void {
    this.drop()
    if (final(code)) return this.finish(code)
    this.tell('reconnecting')
    this.wake = setTimeout(() => this.connect(), Math.max(waitOf(this.tries++), askedFor(reason)))
  }

  private finish(code?: number): void {
    if (this.state === 'closed') return
    clearTimeout(this.wake)
    removeEventListener('online', this.onOnline)
    document.removeEventListener('visibilitychange', this.onVisibility)
    this.drop()
    this.tell('closed', code)
  }

  private tell(state: RoomState, code?: number): void {
    if (state === this.state) return
    this.state = state
    this.hooks.onState(state, code)
  }

  /** Another network: the old socket is dead even if it does not know yet. */
  private readonly onOnline = (): void => this.comeBack()

  private readonly onVisibility = (): void => {
    if (document.visibilityState === 'hidden') {
      this.hiddenAt = Date.now()
    } else if (this.state === 'reconnecting' || (this.hiddenAt > 0 && Date.now() - this.hiddenAt > asleep)) {
      this.comeBack()
    }
  }

  private comeBack(): void {
    this.tell('reconnecting')
    this.tries = 0
    this.connect()
  }
}

const tooLarge = 1009 // our frame was: it would be again

const final = (code: number): boolean => code === tooLarge || (code >= 4000 && code < 4500)

/** A server that restarts tells each of us how long to wait, in ms. */
const askedFor = (reason: string): number => Math.min(30_000, Number(/retry_ms=(\d+)/.exec(reason)?.[1] ?? 0))

/** Waits double up to a quarter minute; the jitter keeps a full room from coming back in the same moment. */
export function waitOf(tries: number, random: () => number = Math.random): number {
  return Math.min(longestWait, firstWait * 2 ** Math.min(tries, 10)) * (0.5 + random())
}

function parse(data: unknown): RoomEvent[] {
  if (typeof data !== 'string') return []
  try {
    const events: unknown = JSON.parse(data)
    return Array.isArray(events) ? (events as RoomEvent[]) : []
  } catch {
    return [] // a frame we can't read is a frame of a newer server: the next ones may be readable
  }
}
