// The conversation with a room: one WebSocket that comes back by itself and asks for what it missed. The close codes
// that decide whether it comes back are in docs/protocol.md. Where no WebSocket gets through, the same frames come as
// server-sent events, read only, while it goes on trying. Plain TypeScript without the framework.
import type { RoomEvent, RoomMessage } from './types'

export type RoomState = 'connecting' | 'open' | 'reconnecting' | 'closed'

export interface RoomHooks {
  /** Events in order, each kept one (with seq) once. A hello with resumed=false starts over: what is shown is stale. */
  onEvents(events: RoomEvent[]): void
  /** `code` with 'closed': why the server does not want us back (4401 sign in again, 4404 no such room, 4410 over). */
  onState(state: RoomState, code?: number): void
  /** True while the room can be read but not spoken in: only server-sent events get through. */
  onReadOnly?(is: boolean): void
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
const patience = 3 // sockets in a row that never opened, before server-sent events are tried
const again = [5_000, 30_000, 60_000] // while reading only, a socket is tried after so long, at last every minute

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
  private failed = 0 // sockets in a row that never opened
  private stream: EventSource | undefined
  private upgrade: WebSocket | undefined // tried while we read only
  private upgrades: ReturnType<typeof setTimeout> | undefined

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
    if (this.failed >= patience) return this.read()
    const socket = new WebSocket(this.address('ws'))
    this.socket = socket
    socket.onopen = () => this.opened(socket)
    socket.onclose = (e) => {
      this.failed++
      this.lost(e.code, e.reason)
    }
  }

  private opened(socket: WebSocket): void {
    socket.onmessage = (m) => {
      this.heard()
      this.take(m.data)
    }
    socket.onclose = (e) => this.lost(e.code, e.reason)
    this.failed = 0
    this.heard()
    this.hooks.onReadOnly?.(false)
    this.tell('open')
    this.calm = setTimeout(() => (this.tries = 0), steady)
  }

  /** Server-sent events: the same frames, and nothing can be said. */
  private read(): void {
    const stream = new EventSource(this.address('events'))
    this.stream = stream
    stream.onopen = () => {
      this.heard()
      this.hooks.onReadOnly?.(true)
      this.tell('open')
      this.tryUpgrade(0)
    }
    stream.onmessage = (m) => {
      this.heard()
      this.take(m.data)
    }
    stream.addEventListener('close', (m) => this.lost(...told((m as MessageEvent).data)))
    stream.onerror = () => {
      this.failed = 0 // neither way is open: the server is down, say. Sockets first again
      const refused = stream.readyState === EventSource.CLOSED
      this.lost(1006, '')
      if (refused) void this.askWhy(stream.url)
    }
  }

  /** A browser does not tell a script why a handshake was refused; an ordinary request is told. */
  private async askWhy(url: string): Promise<void> {
    const end = new AbortController()
    const status = await fetch(url, { signal: end.signal }).then(
      (r) => r.status,
      () => 0,
    )
    end.abort()
    const code = refusals[status]
    if (code && this.state === 'reconnecting') this.finish(code)
  }

  /** What keeps sockets away may pass: a captive network, a proxy that restarts. Our reading goes on meanwhile. */
  private tryUpgrade(n: number): void {
    clearTimeout(this.upgrades)
    this.upgrades = setTimeout(
      () => {
        const socket = new WebSocket(this.address('ws'))
        this.upgrade = socket
        socket.onopen = () => {
          this.upgrade = undefined
          this.drop()
          this.socket = socket
          this.opened(socket)
        }
        socket.onclose = () => this.tryUpgrade(n + 1)
      },
      again[Math.min(n, again.length - 1)],
    )
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
    clearTimeout(this.upgrades)
    this.stream?.close()
    silence(this.socket)
    silence(this.upgrade)
    this.stream = this.socket = this.upgrade = undefined
  }

  private address(way: 'ws' | 'events'): string {
    const url = new URL(`/api/v1/sessions/${this.sessionId}/${way}`, location.href)
    if (way === 'ws') url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
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
    this.tries = this.failed = 0
    this.connect()
  }
}

const ours = [1002, 1007, 1009] // our frame was at fault: it would be again

const final = (code: number): boolean => ours.includes(code) || (code >= 4000 && code < 4500)

/** Refused handshakes that will be refused again, as the close code of the same meaning. */
const refusals: Record<number, number> = { 204: 4410, 401: 4401, 403: 4403, 404: 4404 }

function silence(socket?: WebSocket): void {
  if (!socket) return
  socket.onopen = socket.onmessage = socket.onclose = null
  if (socket.readyState <= WebSocket.OPEN) socket.close(1000)
}

/** How the server ended a stream. */
function told(data: unknown): [code: number, reason: string] {
  try {
    const { code, reason } = JSON.parse(String(data)) as { code?: number; reason?: string }
    return [code ?? 1006, reason ?? '']
  } catch {
    return [1006, '']
  }
}

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
