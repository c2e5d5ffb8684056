import { afterEach, describe, expect, it, vi } from 'vitest'
import { brightness, faultOf, loudness, openDevices } from './devices'

class Stream {
  constructor(readonly tracks: { kind: string }[] = []) {}
  getTracks() {
    return this.tracks
  }
}
const error = (name: string) => Object.assign(new Error(name), { name })

function machine(open: (c: MediaStreamConstraints) => Stream) {
  vi.stubGlobal('isSecureContext', true)
  vi.stubGlobal('MediaStream', Stream)
  vi.stubGlobal('navigator', { mediaDevices: { getUserMedia: async (c: MediaStreamConstraints) => open(c) } })
}
afterEach(() => vi.unstubAllGlobals())

describe('openDevices', () => {
  it('asks once for both', async () => {
    const open = vi.fn(() => new Stream([{ kind: 'video' }, { kind: 'audio' }]))
    machine(open)
    const got = await openDevices({ camera: 'front' })
    expect(got).toMatchObject({ camera: null, mic: null })
    expect(open).toHaveBeenCalledTimes(1)
    expect(open).toHaveBeenCalledWith(expect.objectContaining({ video: expect.objectContaining({ deviceId: { ideal: 'front' } }) }))
  })
  it('opens the microphone alone when there is no camera, and says so', async () => {
    machine((c) => {
      if (c.video) throw error('NotFoundError')
      return new Stream([{ kind: 'audio' }])
    })
    const got = await openDevices()
    expect(got).toMatchObject({ camera: 'missing', mic: null })
    expect(got.stream.getTracks()).toHaveLength(1)
  })
  it('explains an insecure page', async () => {
    machine(() => new Stream())
    vi.stubGlobal('isSecureContext', false)
    expect(await openDevices()).toMatchObject({ camera: 'insecure', mic: 'insecure' })
  })
})

describe('faultOf', () => {
  it.each([
    ['NotAllowedError', 'denied'],
    ['NotFoundError', 'missing'],
    ['NotReadableError', 'busy'],
    ['OverconstrainedError', 'unfit'],
    ['TypeError', 'unknown'],
  ])('%s is %s', (name, fault) => expect(faultOf(error(name))).toBe(fault))
  it('stands anything', () => expect(faultOf(null)).toBe('unknown'))
})

describe('meters', () => {
  it('hears silence, speech and shouting', () => {
    expect(loudness(new Float32Array(512))).toBe(0)
    const speech = loudness(Float32Array.from({ length: 512 }, (_, i) => Math.sin(i / 5) * 0.05))
    expect(speech).toBeGreaterThan(0.3)
    expect(speech).toBeLessThan(0.8)
    expect(loudness(new Float32Array(512).fill(1))).toBe(1)
  })
  it('sees dark and bright', () => {
    expect(brightness(Uint8ClampedArray.from([0, 0, 0, 255]))).toBe(0)
    expect(brightness(Uint8ClampedArray.from([255, 255, 255, 255]))).toBeCloseTo(1)
    expect(brightness(new Uint8ClampedArray())).toBe(0)
  })
})
