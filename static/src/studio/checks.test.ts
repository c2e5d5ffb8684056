import { describe, expect, it } from 'vitest'
import { checksOf, healthOf, isThin, type Known } from './checks'

const good: Known = {
  camera: { fault: null, open: true },
  mic: { fault: null, open: true, heard: true, quietFor: 0 },
  light: 0.5,
  network: { online: true, roundTrip: 40, failed: false },
  line: null,
  thinFor: 0,
  secure: true,
}
const states = (k: Partial<Known>) => Object.fromEntries(checksOf({ ...good, ...k }).map((c) => [c.name, `${c.state} ${c.note}`]))

describe('checksOf', () => {
  it('is green all over when all is well', () => {
    expect(checksOf(good).map((c) => c.state)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok'])
    expect(checksOf(good).map((c) => c.name)).toEqual(['camera', 'mic', 'light', 'network', 'secure'])
  })
  it('waits for what is not known yet', () => {
    const s = states({
      camera: { fault: null, open: false },
      mic: { fault: null, open: false, heard: false, quietFor: 0 },
      light: null,
      network: { online: true, roundTrip: null, failed: false },
    })
    expect(s).toMatchObject({ camera: 'wait cameraWait', mic: 'wait micWait', light: 'wait lightWait', network: 'wait networkWait' })
  })
  it.each<[Partial<Known>, string, string]>([
    [{ camera: { fault: 'denied', open: false } }, 'camera', 'bad camera_denied'],
    [{ camera: { fault: 'busy', open: true } }, 'light', 'wait lightWait'],
    [{ mic: { fault: null, open: true, heard: false, quietFor: 9 } }, 'mic', 'wait micQuiet'],
    [{ mic: { fault: 'missing', open: true, heard: true, quietFor: 0 } }, 'mic', 'bad mic_missing'],
    [{ light: 0.05 }, 'light', 'bad lightDark'],
    [{ light: 0.99 }, 'light', 'bad lightBright'],
    [{ network: { online: false, roundTrip: 10, failed: false } }, 'network', 'bad networkBad'],
    [{ network: { online: true, roundTrip: 900, failed: false } }, 'network', 'bad networkSlow'],
    [{ line: { bitrate: 1e6, rtt: 0.1, loss: 0.2, fps: 30, height: 720, limited: 'none' }, thinFor: 9 }, 'network', 'bad networkLoss'],
    [{ thinFor: 9 }, 'network', 'bad networkSlow'],
    [{ thinFor: 1 }, 'network', 'ok networkOk'],
    [{ secure: false }, 'secure', 'bad secureBad'],
  ])('%o', (known, name, want) => expect(states(known)[name]).toBe(want))
})

describe('healthOf', () => {
  const line = { bitrate: 2e6, rtt: 0.05, loss: 0, fps: 30, height: 720, limited: 'none' as const }
  it('tells fine, thin and gone apart, and gives a new line a moment', () => {
    expect(healthOf('on-air', 0)).toBe('fine')
    expect(healthOf('on-air', 2)).toBe('fine')
    expect(healthOf('on-air', 9)).toBe('thin')
    expect(healthOf('reconnecting', 0)).toBe('gone')
  })
  it('knows a thin line', () => {
    expect(isThin(line)).toBe(false)
    expect(isThin({ ...line, loss: 0.2 })).toBe(true)
    expect(isThin({ ...line, bitrate: 5_000 })).toBe(false) // a still or hidden picture needs little
    expect(isThin({ ...line, limited: 'bandwidth' })).toBe(true)
  })
})
