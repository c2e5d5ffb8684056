// Watching a session: WHEP. One offer with a place for every anchor, one POST, and a connection that is made again by
// itself until it is closed; a new path (another network) is tried first by an ICE restart. Every new connection begins
// at the origin, which may send it to an edge. The ids of the streams are the anchors' names. Plain TypeScript.
import { ApiError } from '@/api/client'
import { waitOf } from '@/api/room'
import { offer, restartIce, withdraw } from './exchange'
import { PictureLine, type PictureWish } from './picture'
import { answerWith, fragmentOf } from './sdpfrag'

/**
 * connecting: the first try is under way. playing: the line holds. reconnecting: it did, or will soon. refused: the
 * server said no, and asking again would not help. unable: this browser or network can't do it, another way is needed.
 * closed: by us.
 */
export type WatchState = 'connecting' | 'playing' | 'reconnecting' | 'refused' | 'unable' | 'closed'

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
  /** The server takes wishes for the picture (quality), or does not. */
  onChoice?(open: boolean): void
  /** How many lines the large picture has, null when not told. */
  onHeight?(height: number | null): void
  /** True when somebody is on air, so that media should come. */
  expected?(): boolean
}

export interface WatchOptions {
  talkback?: boolean // as an anchor: the others, without our own
  wish?: Partial<PictureWish>
}

export interface Watch {
  /** Tells the server what to send from now on; kept over reconnects. */
  want(wish: Partial<PictureWish>): void
  close(): void
}

const most = 5 // anchors in one room
const connectFor = 8_000
const restartFor = 4_000 // ms for an ICE restart before everything is made anew
const look = 2_000 // ms between looks at the statistics
const stalledAfter = 3 // looks without a new picture
const starvedAfter = 4 // looks without any media though somebody is on air
const givenUpAfter = 2 // connections without media
const weakFrom = 0.08 // share of packets lost

/** Codes of a refusal that another way of watching gets around: the browser and the server share no codec. */
const codecCodes = ['sdp', 'codec', 'no-codec', 'not-acceptable']

/** Watches a session with so many anchors, until closed. */
export function watch(sessionId: number, anchors: number, hooks: WatchHooks, options: WatchOptions = {}): Watch {
  const url = `/api/v1/sessions/${sessionId}/whep${options.talkback ? '?talkback=1' : ''}`
  return new Watcher(url, Math.min(Math.max(anchors, 1), most), hooks, options.wish ?? {})
}

/** The same address, but never sent on to an edge. */
const directly = (url: string): string => `${url}${url.includes('?') ? '&' : '?'}direct=1`

interface Place {
  stream: MediaStream
  video?: MediaStreamTrack
  frames: number
  still: number // looks since the last new picture
}

class Watcher implements Watch {
  private pc: RTCPeerConnection | undefined
  private resource = ''
  private answer = ''
  private places = new Map<string, Place>()
  private tries = 0
  private played = false
  private over = false
  private weak = false
  private lost = 0
  private received = 0
  private starved = 0 // looks without media
  private fruitless = 0 // connections in a row that brought no media
  private restarting = false
  private direct = false // ask the origin itself: the edge that it named can't be reached from here
  private readonly picture: PictureLine
  private timer: ReturnType<typeof setTimeout> | undefined
  private looking: ReturnType<typeof setInterval> | undefined

  constructor(
    private readonly url: string,
    private readonly anchors: number,
    private readonly hooks: WatchHooks,
    wish: Partial<PictureWish>,
  ) {
    this.picture = new PictureLine({ quality: 'auto', video: true, focus: '', ...wish }, (h) => hooks.onHeight?.(h))
    addEventListener('online', this.moved)
    addEventListener('pagehide', this.leave)
    addEventListener('pageshow', this.returned)
    lineOf()?.addEventListener?.('change', this.lineChanged)
    void this.connect()
  }

  want(wish: Partial<PictureWish>): void {
    this.picture.want(wish)
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
    if (typeof RTCPeerConnection === 'undefined') return this.unable()
    const pc = (this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }))
    for (let i = 0; i < this.anchors; i++) pc.addTransceiver('video', { direction: 'recvonly' })
    for (let i = 0; i < this.anchors; i++) pc.addTransceiver('audio', { direction: 'recvonly' })
    pc.ontrack = (e) => this.seat(e)
    pc.onconnectionstatechange = () => pc === this.pc && this.changed(pc.connectionState)
    try {
      await pc.setLocalDescription(await pc.createOffer())
      // Nothing is gathered first: the server has the open port, it learns our side from the first packets.
      const answer = await offer(this.direct ? directly(this.url) : this.url, pc.localDescription!.sdp)
      this.direct = false
      if (pc !== this.pc) return void withdraw(answer.location)
      this.resource = answer.location
      this.answer = answer.sdp
      this.picture.use(answer.picture)
      this.hooks.onChoice?.(this.picture.open)
      await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp })
      if (pc === this.pc && pc.connectionState !== 'connected') this.timer = setTimeout(() => this.barren(), connectFor)
    } catch (error) {
      if (pc !== this.pc) return
      if (error instanceof ApiError && !error.passing) return codecCodes.includes(error.code) ? this.unable() : this.refuse(error)
      this.direct = !this.direct && error instanceof ApiError && error.code === 'network'
      this.again(error instanceof ApiError ? error.retryAfter : 0)
    }
  }

  private changed(state: RTCPeerConnectionState): void {
    if (state === 'connected') {
      clearTimeout(this.timer)
      this.tries = 0
      this.played = true
      this.hooks.onState('playing')
      clearInterval(this.looking)
      this.looking = setInterval(() => void this.look(), look)
    } else if (state === 'disconnected') {
      this.hooks.onState('reconnecting')
      void this.renew()
    } else if (state === 'failed' && !this.restarting) {
      this.again()
    }
  }

  /** Tries another path for the same connection (ICE restart), and makes a new connection when that does not help. */
  private async renew(): Promise<void> {
    const { pc, resource } = this
    if (!pc || this.restarting || this.over) return
    if (!resource) return this.restart()
    this.restarting = true
    clearTimeout(this.timer)
    this.timer = setTimeout(this.restart, restartFor)
    try {
      await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }))
      const fragment = await restartIce(resource, fragmentOf(pc.localDescription!.sdp))
      if (pc !== this.pc) return
      this.answer = answerWith(this.answer, fragment)
      await pc.setRemoteDescription({ type: 'answer', sdp: this.answer })
      this.restarting = false
      // "connected" may not come again: the old path can hold while the new one is found.
      if (pc === this.pc && pc.connectionState === 'connected') this.changed('connected')
    } catch {
      if (pc !== this.pc) return
      this.restart()
    }
  }

  /** A connection that brought nothing: once more, then it is clear that this way does not work here. */
  private barren(): void {
    if (++this.fruitless >= givenUpAfter) return this.unable()
    this.again()
  }

  private unable(): void {
    this.stop()
    this.hooks.onState('unable')
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
    removeEventListener('online', this.moved)
    lineOf()?.removeEventListener?.('change', this.lineChanged)
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
    this.restarting = false
    this.starved = this.lost = this.received = 0
    this.picture.use('')
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

  /** Media that does not come though somebody is on air: the packets do not get through. */
  private starve(fresh: number): void {
    if (fresh > 0) this.fruitless = 0
    const due = this.picture.now.video && (this.hooks.expected?.() ?? false)
    this.starved = fresh > 0 || !due ? 0 : this.starved + 1
    if (this.starved >= starvedAfter) this.barren()
  }

  /** Counts the pictures of a track; true when it began to move or stopped moving. */
  private count(track: string, frames: number): boolean {
    const place = [...this.places.values()].find((p) => p.video?.id === track)
    if (!place) return false
    const before = moves(place)
    if (!this.picture.now.video) return false // stopped by our own wish
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
    this.starve(r)
  }

  /** Another network: the old path is dead, or will be soon. */
  private readonly moved = (): void => {
    if (this.pc && this.resource && this.played) void this.renew()
    else this.restart()
  }

  private lineType = lineOf()?.type
  /** It changes with every estimate of speed too; only another kind of line is another address. */
  private readonly lineChanged = (): void => {
    const type = lineOf()?.type
    if (type !== this.lineType && type !== 'none') this.moved()
    this.lineType = type
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

/** What phones' Chromium knows of its line, Wi-Fi or mobile (Network Information API); other browsers have no such thing. */
type Line = EventTarget & { type?: string }
const lineOf = (): Line | undefined => (navigator as { connection?: Line }).connection

const moves = (p: Place): boolean => !!p.video && !p.video.muted && p.still < stalledAfter
