// Watching a session: WHEP. One offer with a place for every anchor, one POST, and a connection that is made again by
// itself until it is closed. The ids of the streams are the anchors' names. Plain TypeScript without the framework.
import { ApiError } from '@/api/client'
import { waitOf } from '@/api/room'
import { offer, withdraw } from './exchange'

/**
 * connecting: the first try is under way. playing: the line holds. reconnecting: it did, or will soon. refused: the
 * server said no, and asking again would not help. closed: by us.
 */
export type WatchState = 'connecting' | 'playing' | 'reconnecting' | 'refused' | 'closed'

/** One anchor's place in the picture. */
export interface Seat {
  name: string
  stream: MediaStream
  moving: boolean // pictures arrive
}

export interface WatchHooks {
  onState(state: WatchState, error?: ApiError): void
  onSeats(seats: Seat[]): void
  /** The line loses so much that the picture suffers, or has recovered. */
  onWeak?(weak: boolean): void
}

export interface Watch {
  close(): void
}

const most = 5 // anchors in one room
const connectFor = 12_000
const patience = 3_000 // ms in "disconnected" before a new connection
const look = 2_000 // ms between looks at the statistics
const stalledAfter = 3 // looks without a new picture
const weakFrom = 0.08 // share of packets lost

/** Watches a session with so many anchors, until closed. */
export function watch(sessionId: number, anchors: number, hooks: WatchHooks): Watch {
  return new Watcher(`/api/v1/sessions/${sessionId}/whep`, Math.min(Math.max(anchors, 1), most), hooks)
}

interface Place {
  stream: MediaStream
  video?: MediaStreamTrack
  frames: number
  still: number // looks since the last new picture
}

class Watcher implements Watch {
  private pc: RTCPeerConnection | undefined
  private resource = ''
  private places = new Map<string, Place>()
  private tries = 0
  private played = false
  private over = false
  private weak = false
  private lost = 0
  private received = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private looking: ReturnType<typeof setInterval> | undefined

  constructor(
    private readonly url: string,
    private readonly anchors: number,
    private readonly hooks: WatchHooks,
  ) {
    addEventListener('online', this.restart)
    addEventListener('pagehide', this.leave)
    addEventListener('pageshow', this.returned)
    void this.connect()
  }

  close(): void {
    if (this.over) return
    this.stop()
    this.hooks.onState('closed')
  }

  private async connect(): Promise<void> {
    this.drop()
    if (this.over) return
    this.hooks.onState(this.played ? 'reconnecting' : 'connecting')
    const pc = (this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }))
    for (let i = 0; i < this.anchors; i++) pc.addTransceiver('video', { direction: 'recvonly' })
    for (let i = 0; i < this.anchors; i++) pc.addTransceiver('audio', { direction: 'recvonly' })
    pc.ontrack = (e) => this.seat(e)
    pc.onconnectionstatechange = () => pc === this.pc && this.changed(pc.connectionState)
    try {
      await pc.setLocalDescription(await pc.createOffer())
      // Nothing is gathered first: the server has the open port, it learns our side from the first packets.
      const answer = await offer(this.url, pc.localDescription!.sdp)
      if (pc !== this.pc) return void withdraw(answer.location)
      this.resource = answer.location
      await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp })
      if (pc === this.pc && pc.connectionState !== 'connected') this.timer = setTimeout(() => this.again(), connectFor)
    } catch (error) {
      if (pc !== this.pc) return
      if (error instanceof ApiError && !error.passing) return this.refuse(error)
      this.again(error instanceof ApiError ? error.retryAfter : 0)
    }
  }

  private changed(state: RTCPeerConnectionState): void {
    clearTimeout(this.timer)
    if (state === 'connected') {
      this.tries = 0
      this.played = true
      this.hooks.onState('playing')
      clearInterval(this.looking)
      this.looking = setInterval(() => void this.look(), look)
    } else if (state === 'disconnected') {
      this.hooks.onState('reconnecting')
      this.timer = setTimeout(this.restart, patience)
    } else if (state === 'failed') {
      this.again()
    }
  }

  private again(retryAfter = 0): void {
    this.drop()
    if (this.over) return
    this.hooks.onState(this.played ? 'reconnecting' : 'connecting')
    this.timer = setTimeout(() => void this.connect(), Math.max(waitOf(this.tries++), retryAfter * 1000))
  }

  private refuse(error: ApiError): void {
    this.stop()
    this.hooks.onState('refused', error)
  }

  private stop(): void {
    this.over = true
    removeEventListener('online', this.restart)
    removeEventListener('pagehide', this.leave)
    removeEventListener('pageshow', this.returned)
    this.drop()
  }

  /** Lets go of the connection and says so to the server. */
  private drop(): void {
    clearTimeout(this.timer)
    clearInterval(this.looking)
    const pc = this.pc
    this.pc = undefined
    if (pc) {
      pc.ontrack = pc.onconnectionstatechange = null
      pc.close()
    }
    void withdraw(this.resource)
    this.resource = ''
    this.places.clear()
  }

  private seat(e: RTCTrackEvent): void {
    const stream = e.streams[0]
    if (!stream) return
    const place = this.places.get(stream.id) ?? { stream, frames: 0, still: 0 }
    this.places.set(stream.id, place)
    if (e.track.kind === 'video') {
      place.video = e.track
      e.track.onmute = e.track.onunmute = () => this.tell()
    }
    this.tell()
  }

  private tell(): void {
    const seats = [...this.places.values()].map((p) => ({ name: p.stream.id, stream: p.stream, moving: moves(p) }))
    this.hooks.onSeats(seats)
  }

  /** Looks at what arrived since the last time: whose picture stands still, how much is lost. */
  private async look(): Promise<void> {
    const pc = this.pc
    const report = await pc?.getStats()
    if (!pc || !report || pc !== this.pc) return
    let [lost, received, changed] = [0, 0, false]
    report.forEach((s: RTCStats & Record<string, unknown>) => {
      if (s.type !== 'inbound-rtp') return
      lost += Number(s.packetsLost) || 0
      received += Number(s.packetsReceived) || 0
      if (s.kind === 'video') changed = this.count(String(s.trackIdentifier), Number(s.framesDecoded) || 0) || changed
    })
    if (changed) this.tell()
    this.judge(lost, received)
  }

  /** Counts the pictures of a track; true when it began to move or stopped moving. */
  private count(track: string, frames: number): boolean {
    const place = [...this.places.values()].find((p) => p.video?.id === track)
    if (!place) return false
    const before = moves(place)
    place.still = frames > place.frames ? 0 : place.still + 1
    place.frames = frames
    return moves(place) !== before
  }

  private judge(lost: number, received: number): void {
    const [l, r] = [lost - this.lost, received - this.received]
    this.lost = lost
    this.received = received
    const weak = r + l > 20 && l / (r + l) > weakFrom
    if (weak !== this.weak) this.hooks.onWeak?.((this.weak = weak))
  }

  private readonly restart = (): void => {
    this.tries = 0
    void this.connect()
  }
  private readonly leave = (): void => void withdraw(this.resource)
  /** Back from the browser's cache of pages: the connection we left is gone. */
  private readonly returned = (e: PageTransitionEvent): void => {
    if (e.persisted) this.restart()
  }
}

const moves = (p: Place): boolean => !!p.video && !p.video.muted && p.still < stalledAfter
