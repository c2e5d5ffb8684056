// The figures of media in words and shares. Plain values in, plain values out.
import type { MediaLayer, MediaPublisher, MediaStatus, SessionAnchor } from '@/api/types'
import { t } from './messages'

type Words = Parameters<typeof t>[0]

/** 1.85 Mbit/s, 240 kbit/s */
export const rate = (bits: number): string => (bits >= 1e6 ? `${(bits / 1e6).toFixed(2)} Mbit/s` : `${Math.round(bits / 1000)} kbit/s`)

/** A share as 0.42%, 12% */
export const percent = (share: number): string => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 2 : 0)}%`

export const lossOf = (x: { packets: number; lost: number }): number => (x.packets + x.lost > 0 ? x.lost / (x.packets + x.lost) : 0)

/** 1.2 GB, 340 MB, as disks count. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const at = n < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(n) / 3))
  const value = n / 1000 ** at
  return `${value.toFixed(at > 1 && value < 100 ? 1 : 0)} ${units[at]}`
}

const layers: Record<string, Words> = { f: 'layerF', h: 'layerH', q: 'layerQ', '': 'layerOne' }
export const layerName = (l: Pick<MediaLayer, 'rid' | 'kind'>): string =>
  l.kind === 'audio' ? t('layerAudio') : layers[l.rid] ? t(layers[l.rid]!) : l.rid

/** A layer of the picture by its rid, '' where there is only one. */
export const pictureLayer = (rid: string): string => layerName({ rid, kind: 'video' })

const ranks: Words[] = ['layerNone', 'layerQ', 'layerH', 'layerF']
/** How good the picture was: 3 the best layer, 0 none. */
export const rankName = (rank: number): string => t(ranks[rank] ?? 'layerNone')

/** A round trip, which may not be known yet. */
export const roundTrip = (ms: number | null | undefined): string => (typeof ms === 'number' ? t('ms', { ms: Math.round(ms) }) : '—')

const seatStates: Record<string, Words> = { idle: 'seatIdle', waiting: 'seatWaiting', catching: 'seatCatching', live: 'seatLive' }
export const seatState = (state: string): string => (seatStates[state] ? t(seatStates[state]!) : state)

const transports: Record<string, Words> = { udp: 'viaUdp', tcp: 'viaTcp', pc: 'viaPc', hls: 'viaHls' }
export const transportName = (name: string): string => (transports[name] ? t(transports[name]!) : name)

const qualities: Record<string, Words> = { auto: 'qualityAuto', smooth: 'qualitySmooth', clear: 'qualityClear' }
export const qualityName = (name: string): string => (qualities[name] ? t(qualities[name]!) : name)

const order = ['f', 'h', 'q', '']
/** Pictures first, the largest on top, then the sound. */
export const ordered = (all: MediaLayer[]): MediaLayer[] =>
  [...all].sort((a, b) => Number(a.kind === 'audio') - Number(b.kind === 'audio') || order.indexOf(a.rid) - order.indexOf(b.rid))

export interface Share {
  key: string
  label: string
  count: number
  part: number // 0..1 of all
}

function shares(counts: [key: string, label: string, count: number][]): Share[] {
  const all = counts.reduce((n, [, , c]) => n + c, 0)
  return counts.filter(([, , c]) => c > 0).map(([key, label, count]) => ({ key, label, count, part: count / all }))
}

/** Viewers by what they see, the best first. */
export const byLayer = (m: MediaStatus): Share[] =>
  shares(['f', 'h', 'q', ''].map((rid) => [rid, pictureLayer(rid), m.viewers_by_layer?.[rid] ?? 0]))

/** Viewers by how they connect, HLS too. */
export const byTransport = (m: MediaStatus): Share[] =>
  shares([
    ...Object.entries(m.viewers_by_transport ?? {}).map(([k, n]): [string, string, number] => [k, transportName(k), n]),
    ['hls', transportName('hls'), m.hls_viewers ?? 0],
  ])

/** How loud, 0..1 for a bar: -60 dB and less is nothing. */
export const loudness = (db: number | undefined): number => Math.min(1, Math.max(0, ((db ?? -127) + 60) / 60))

export interface AnchorRow {
  anchor: SessionAnchor
  publisher: MediaPublisher | null
}

/** Everybody of the roster, and what they send if they do. */
export const anchorRows = (anchors: SessionAnchor[], publishers: MediaPublisher[]): AnchorRow[] =>
  anchors.map((anchor) => ({ anchor, publisher: publishers.find((p) => p.anchor === anchor.name) ?? null }))

const causes = [
  'no-way',
  'queue',
  'no-publisher-picture',
  'publisher-loss',
  'low-estimate',
  'high-loss',
  'high-rtt',
  'waiting-for-key-frame',
  'chose-smooth',
  'video-stopped',
  'tcp',
  'ok',
] as const

/** A cause in words and what to do about it; one that is not known here keeps the server's code. */
export function causeOf(code: string): { title: string; text: string; fine: boolean } {
  const fine = code === 'ok' || code === 'chose-smooth' || code === 'video-stopped'
  if (!causes.some((c) => c === code)) return { title: code, text: '', fine }
  const key = `w_${code.replaceAll('-', '_')}` as Words
  return { title: t(key), text: t(`${key}_text` as Words), fine }
}
