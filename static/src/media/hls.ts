// Watching without WebRTC: HLS with low latency. The browser's own player where it has a good one (Safari), else hls.js,
// which comes only when it is needed. Plain TypeScript without the framework.
import type Hls from 'hls.js'

/** waiting: nobody is on air, or the server can't be reached; it goes on by itself. failed: this browser can't do it. */
export type HlsState = 'loading' | 'playing' | 'waiting' | 'failed'

export interface HlsPlayer {
  close(): void
}

const again = 3_000 // ms between tries while nobody is on air
const recoverEvery = 5_000 // ms between two recoveries of the decoder

/** True where the browser plays HLS itself and well. Chromium plays it too, but far behind; hls.js is better there. */
export function playsNatively(video: HTMLVideoElement): boolean {
  const able = video.canPlayType('application/vnd.apple.mpegurl') !== ''
  return able && (!('MediaSource' in window) || 'ManagedMediaSource' in window)
}

/** Plays a playlist in an element until closed. Sound and play() are the caller's. */
export function playHls(video: HTMLVideoElement, url: string, onState: (state: HlsState) => void): HlsPlayer {
  return playsNatively(video) ? new Native(video, url, onState) : new ByLibrary(video, url, onState)
}

abstract class Player implements HlsPlayer {
  protected timer: ReturnType<typeof setTimeout> | undefined
  protected over = false
  private state: HlsState | undefined

  constructor(
    protected readonly video: HTMLVideoElement,
    protected readonly url: string,
    private readonly onState: (state: HlsState) => void,
  ) {
    video.addEventListener('playing', this.plays)
    this.tell('loading')
  }

  close(): void {
    this.over = true
    clearTimeout(this.timer)
    this.video.removeEventListener('playing', this.plays)
    this.end()
  }

  protected abstract end(): void

  protected tell(state: HlsState): void {
    if (!this.over && state !== this.state) this.onState((this.state = state))
  }
  private readonly plays = (): void => this.tell('playing')
}

class Native extends Player {
  constructor(video: HTMLVideoElement, url: string, onState: (state: HlsState) => void) {
    super(video, url, onState)
    video.addEventListener('error', this.fails)
    video.src = url
  }

  protected end(): void {
    this.video.removeEventListener('error', this.fails)
    this.video.removeAttribute('src')
    this.video.load()
  }

  private readonly fails = (): void => {
    this.tell('waiting')
    this.timer = setTimeout(() => {
      this.video.src = this.url
      void this.video.play().catch(() => {})
    }, again)
  }
}

class ByLibrary extends Player {
  private hls: Hls | undefined
  private recoveredAt = -Infinity

  constructor(video: HTMLVideoElement, url: string, onState: (state: HlsState) => void) {
    super(video, url, onState)
    void this.begin()
  }

  private async begin(): Promise<void> {
    let library: typeof Hls
    try {
      library = (await import('hls.js')).default
    } catch {
      return this.tell('failed')
    }
    if (this.over) return
    if (!library.isSupported()) return this.tell('failed')
    const hls = (this.hls = new library({
      lowLatencyMode: true,
      maxLiveSyncPlaybackRate: 1.1, // catches up so gently that nobody hears it
      backBufferLength: 10,
      enableWorker: false, // fragmented MP4 goes to the decoder as it is: there is nothing to do in a worker
    }))
    hls.on(library.Events.ERROR, (_, data) => {
      if (!data.fatal) return
      if (data.type === library.ErrorTypes.MEDIA_ERROR) this.recover()
      else if (data.type === library.ErrorTypes.NETWORK_ERROR) this.wait()
      else this.tell('failed')
    })
    hls.attachMedia(this.video)
    hls.loadSource(this.url)
  }

  private wait(): void {
    this.tell('waiting')
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.hls?.loadSource(this.url), again)
  }

  private recover(): void {
    const now = performance.now()
    if (now - this.recoveredAt < recoverEvery) return this.tell('failed')
    this.recoveredAt = now
    this.hls?.recoverMediaError()
  }

  protected end(): void {
    this.hls?.destroy()
  }
}
