import { describe, expect, it } from 'vitest'
import type { MediaLayer, MediaPublisher, MediaStatus, SessionAnchor } from '@/api/types'
import { anchorRows, byLayer, bytes, byTransport, causeOf, lossOf, loudness, ordered, percent, rate } from './figures'

const status = (some: Partial<MediaStatus>): MediaStatus => ({ publishers: [], viewers: 0, viewers_by_transport: {}, ...some })

describe('figures', () => {
  it.each([
    [rate(1_853_000), '1.85 Mbit/s'],
    [rate(240_400), '240 kbit/s'],
    [percent(0.0042), '0.42%'],
    [percent(0.25), '25%'],
    [percent(0), '0%'],
    [bytes(0), '0 B'],
    [bytes(1_234_000), '1.2 MB'],
    [bytes(340_000_000), '340 MB'],
    [bytes(5_120_000_000), '5.1 GB'],
  ])('%s', (got, want) => expect(got).toBe(want))
  it('takes lost ones into the whole', () => {
    expect(lossOf({ packets: 90, lost: 10 })).toBeCloseTo(0.1)
    expect(lossOf({ packets: 0, lost: 0 })).toBe(0)
  })
  it('shows -60 dB as nothing and 0 dB as all', () => expect([-127, -60, -30, 0, undefined].map(loudness)).toEqual([0, 0, 0.5, 1, 0]))
})

describe('shares', () => {
  it('leaves out what nobody uses', () => {
    const got = byLayer(status({ viewers_by_layer: { f: 6, q: 2, '': 0 } }))
    expect(got.map((s) => [s.key, s.count, s.part])).toEqual([
      ['f', 6, 0.75],
      ['q', 2, 0.25],
    ])
  })
  it('counts HLS as one more way', () => {
    const got = byTransport(status({ viewers_by_transport: { udp: 3, tcp: 0 }, hls_viewers: 1 }))
    expect(got.map((s) => s.key)).toEqual(['udp', 'hls'])
  })
  it('stands an older server', () => expect([byLayer(status({})), byTransport(status({}))]).toEqual([[], []]))
})

it('keeps those who send nothing, so that a cut one can be restored', () => {
  const anchors = [{ name: 'a' }, { name: 'b' }] as SessionAnchor[]
  const got = anchorRows(anchors, [{ anchor: 'b' } as MediaPublisher])
  expect(got.map((r) => [r.anchor.name, r.publisher?.anchor])).toEqual([
    ['a', undefined],
    ['b', 'b'],
  ])
})

it('lists the largest picture first and the sound last', () => {
  const layer = (rid: string, kind: MediaLayer['kind']) => ({ rid, kind }) as MediaLayer
  const got = ordered([layer('h', 'video'), layer('', 'audio'), layer('q', 'video'), layer('f', 'video')])
  expect(got.map((l) => l.rid || l.kind)).toEqual(['f', 'h', 'q', 'audio'])
})

describe('causeOf', () => {
  it('says it plainly, and what to do', () => expect(causeOf('high-loss')).toMatchObject({ title: '观众的网络在丢包', fine: false }))
  it('does not call a wish a fault', () => expect(causeOf('chose-smooth').fine).toBe(true))
  it('keeps a code it does not know', () => expect(causeOf('gremlins')).toEqual({ title: 'gremlins', text: '', fine: false }))
})
