import { describe, expect, it } from 'vitest'
import { layersOf, takesLayers } from './simulcast'

describe('layersOf', () => {
  it.each([
    [1280, 720, 'q/4 h/2 f/1'],
    [720, 1280, 'q/4 h/2 f/1'], // upright
    [1920, 1080, 'q/4 h/2 f/1'],
    [640, 480, 'h/2 f/1'],
    [320, 240, 'f/1'],
    [0, 0, 'q/4 h/2 f/1'], // not known yet
  ])('%i x %i gives %s', (width, height, want) => {
    const got = layersOf(width, height, 2_500_000)
    expect(got.map((l) => `${l.rid}/${l.scaleResolutionDownBy}`).join(' ')).toBe(want)
  })
  it('gives each layer its bit rate, and a small camera less', () => {
    expect(layersOf(1280, 720, 2_500_000).map((l) => l.maxBitrate)).toEqual([150_000, 500_000, 2_500_000])
    expect(layersOf(1920, 1080, 2_500_000).at(-1)!.maxBitrate).toBe(2_500_000)
    expect(layersOf(320, 240, 2_500_000)[0]!.maxBitrate).toBeLessThan(1_000_000)
  })
})

it('reads whether an answer takes layers', () => {
  expect(takesLayers('m=video 9\r\na=rid:q recv\r\na=simulcast:recv q;h;f\r\n')).toBe(true)
  expect(takesLayers('m=video 9\r\na=recvonly\r\n')).toBe(false)
})
