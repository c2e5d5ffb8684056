import { expect, it } from 'vitest'
import type { MediaMoment } from '@/api/types'
import { curvesOption } from './curves'

const colours = { text: '', text2: '', line: '', surface: '', estimate: '', bitrate: '', loss: '', rtt: '' }
const words = { estimate: 'e', bitrate: 'b', loss: 'l', rtt: 'r' }
const moment = (second: number): MediaMoment => ({
  at: `2026-01-01T00:00:0${second}Z`,
  estimate: 3_000_000,
  bitrate: 2_000_000,
  loss: 0.05,
  rtt_ms: 40,
  rank: 3,
})

it('draws Mbit/s, percent and ms', () => {
  const { series } = curvesOption([moment(1), moment(2)], colours, words)
  const got = (series as { name: string; data: [number, number][] }[]).map((s) => [s.name, s.data.length, s.data[0]![1]])
  expect(got).toEqual([
    ['b', 2, 2],
    ['e', 2, 3],
    ['l', 2, 5],
    ['r', 2, 40],
  ])
})
