// What a viewer's page really shows: the moment of every picture, and the browser's own statistics.
import { expect, type Page } from '@playwright/test'

declare global {
  interface Window {
    shown: number[] // when a picture of the largest video was shown, ms since 1970
    arrived: number[] // and when its last packet had come
    lines: RTCPeerConnection[]
  }
}

/** Runs in the page before its own scripts: keeps every connection, and writes down when pictures are shown. */
export function watchful(): void {
  window.shown = []
  window.arrived = []
  window.lines = []
  // The weak one here is the laboratory's machine, not the anchor's: no smaller pictures because the processors are busy.
  const steady = (line: RTCPeerConnection): void => {
    for (const sender of line.getSenders()) {
      if (sender.track?.kind !== 'video') continue
      void sender.setParameters({
        ...sender.getParameters(),
        degradationPreference: 'maintain-framerate-and-resolution',
      } as unknown as RTCRtpSendParameters)
    }
  }
  const Original = window.RTCPeerConnection
  window.RTCPeerConnection = class extends Original {
    constructor(configuration?: RTCConfiguration) {
      super(configuration)
      window.lines.push(this)
      this.addEventListener('connectionstatechange', () => this.connectionState === 'connected' && steady(this))
    }
  }
  const watched = new WeakSet<HTMLVideoElement>()
  const follow = (video: HTMLVideoElement): void => {
    video.requestVideoFrameCallback((_, about) => {
      window.shown.push(performance.timeOrigin + performance.now())
      window.arrived.push(performance.timeOrigin + (about.receiveTime ?? performance.now()))
      follow(video)
    })
  }
  setInterval(() => {
    const [video] = [...document.querySelectorAll('video')].sort((a, b) => b.clientWidth - a.clientWidth)
    if (!video || watched.has(video)) return
    watched.add(video)
    follow(video)
  }, 100)
}

/** Everything that the page's connections received, and the size of what is shown now. */
export interface Sight {
  frames: number // decoded
  bytes: number
  freezes: number // as Chromium counts them: longer than 3 usual gaps and 150 ms over the usual
  frozen: number // s
  height: number
  received: number // packets
  lost: number
  nacks: number
  plis: number
  delay: number // s that pictures have waited in the jitter buffer, all together
  emitted: number // pictures that did
  protocol: string
  rtt: number // s
}

export function sight(page: Page): Promise<Sight> {
  return page.evaluate(async () => {
    const s = {
      frames: 0,
      bytes: 0,
      freezes: 0,
      frozen: 0,
      height: 0,
      received: 0,
      lost: 0,
      nacks: 0,
      plis: 0,
      delay: 0,
      emitted: 0,
      protocol: '',
      rtt: 0,
    }
    for (const line of window.lines) {
      if (line.connectionState === 'closed') continue
      const report = await line.getStats()
      report.forEach((r) => {
        if (r.type === 'candidate-pair' && r.nominated && r.state === 'succeeded') {
          s.protocol = report.get(r.localCandidateId)?.protocol ?? ''
          s.rtt = r.currentRoundTripTime ?? 0
        }
        if (r.type !== 'inbound-rtp' || r.kind !== 'video') return
        s.frames += r.framesDecoded ?? 0
        s.bytes += r.bytesReceived ?? 0
        s.freezes += r.freezeCount ?? 0
        s.frozen += r.totalFreezesDuration ?? 0
        s.height = Math.max(s.height, r.framesDecoded ? (r.frameHeight ?? 0) : 0)
        s.received += r.packetsReceived ?? 0
        s.lost += r.packetsLost ?? 0
        s.nacks += r.nackCount ?? 0
        s.plis += r.pliCount ?? 0
        s.delay += r.jitterBufferDelay ?? 0
        s.emitted += r.jitterBufferEmittedCount ?? 0
      })
    }
    return s
  })
}

/** Pictures that the page sends, encoded since the connection began (the largest layer), and whether it is connected. */
export function sent(page: Page): Promise<{ frames: number; height: number; bytes: number }> {
  return page.evaluate(async () => {
    const s = { frames: 0, height: 0, bytes: 0 }
    for (const line of window.lines) {
      if (line.connectionState === 'closed') continue
      ;(await line.getStats()).forEach((r) => {
        if (r.type !== 'outbound-rtp' || r.kind !== 'video') return
        s.frames = Math.max(s.frames, r.framesEncoded ?? 0)
        s.height = Math.max(s.height, r.frameHeight ?? 0)
        s.bytes += r.bytesSent ?? 0
      })
    }
    return s
  })
}

/** The moments of the pictures shown in [from, to], ms since 1970. */
export async function shown(page: Page, from: number, to = Infinity): Promise<number[]> {
  const all = await page.evaluate((since) => window.shown.filter((t) => t >= since), from)
  return all.filter((t) => t <= to)
}

export interface Gap {
  from: number // ms since 1970
  to: number
}

/**
 * Gaps between the pictures shown in a span that are longer than `over` ms. With late "line" only those in which the next
 * picture also arrived late: a picture that was there in time and shown late is the machine's doing.
 */
export async function gaps(page: Page, from: number, to: number, over: number, late: 'line' | 'any'): Promise<Gap[]> {
  const pairs = await page.evaluate(() => window.shown.map((t, i) => [t, window.arrived[i]!] as const))
  const inside = pairs.filter(([t]) => t >= from && t <= to)
  const all = inside.slice(1).map(([t, arrived], i) => ({ from: inside[i]![0], to: t, waited: arrived - inside[i]![1] }))
  const edges = [
    { from, to: inside[0]?.[0] ?? to, waited: over },
    { from: inside.at(-1)?.[0] ?? from, to, waited: over },
  ]
  return [...all, ...edges].filter((g) => g.to - g.from > over && (late === 'any' || g.waited > over * 0.75))
}

/** The longest of some gaps, and all of them together, ms. */
export function sum(of: Gap[]): { longest: number; frozen: number } {
  const each = of.map((g) => Math.round(g.to - g.from))
  return { longest: Math.max(0, ...each), frozen: each.reduce((all, g) => all + g, 0) }
}

/** The gaps without those that another page had at the same time: there it was the machine that was late, not the line. */
export function without(of: Gap[], others: Gap[]): Gap[] {
  return of.filter((g) => !others.some((o) => o.from < g.to && o.to > g.from))
}

/**
 * How long after `from` (ms since 1970) the picture moves: the first shown picture that came in after it, and after which
 * two more follow without gaps over 300 ms. What was still in the jitter buffer does not count.
 */
export async function pictureAfter(page: Page, from: number, patience = 30_000): Promise<number> {
  let found = -1
  const look = async (): Promise<number> => {
    const pairs = await page.evaluate(() => window.shown.map((t, i) => [t, window.arrived[i]!] as const))
    const at = pairs.filter(([, arrived]) => arrived >= from).map(([t]) => t)
    const i = at.findIndex((t, n) => n + 2 < at.length && at[n + 1]! - t < 300 && at[n + 2]! - at[n + 1]! < 300)
    if (i >= 0) found = Math.round(at[i]! - from)
    return found
  }
  await expect.poll(look, { timeout: patience, intervals: [100] }).toBeGreaterThanOrEqual(0)
  return found
}
