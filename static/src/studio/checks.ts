// The five checks before going on air, as plain values: what each knows, and the one sentence that says what to do.
import type { DeviceFault } from '@/media/devices'
import type { LineStats } from '@/media/whip'

export type CheckState = 'ok' | 'wait' | 'bad'
export type CheckName = 'camera' | 'mic' | 'light' | 'network' | 'secure'

export type CheckNote =
  | 'cameraOk'
  | 'cameraWait'
  | 'micOk'
  | 'micWait'
  | 'micQuiet'
  | 'lightOk'
  | 'lightWait'
  | 'lightDark'
  | 'lightBright'
  | 'networkOk'
  | 'networkWait'
  | 'networkSlow'
  | 'networkLoss'
  | 'networkBad'
  | 'secureOk'
  | 'secureBad'
  | `camera_${DeviceFault}`
  | `mic_${DeviceFault}`

export interface Check {
  name: CheckName
  state: CheckState
  note: CheckNote
}

/** What is known at a moment; null is not known yet. */
export interface Known {
  camera: { fault: DeviceFault | null; open: boolean }
  mic: { fault: DeviceFault | null; open: boolean; heard: boolean; quietFor: number } // seconds without a sound
  light: number | null // 0..1
  network: { online: boolean; roundTrip: number | null; failed: boolean } // ms to the server and back
  line: LineStats | null // during a rehearsal
  thinFor: number // looks in a row at a thin line
  secure: boolean
}

const dark = 0.16
const bright = 0.92
const patience = 5 // looks in a row, two seconds each: a line that has just begun needs a moment to fill

export function checksOf(k: Known): Check[] {
  return [
    cameraCheck(k),
    micCheck(k),
    lightCheck(k),
    networkCheck(k),
    { name: 'secure', state: k.secure ? 'ok' : 'bad', note: k.secure ? 'secureOk' : 'secureBad' },
  ]
}

function cameraCheck({ camera }: Known): Check {
  if (camera.fault) return { name: 'camera', state: 'bad', note: `camera_${camera.fault}` }
  return camera.open ? { name: 'camera', state: 'ok', note: 'cameraOk' } : { name: 'camera', state: 'wait', note: 'cameraWait' }
}

function micCheck({ mic }: Known): Check {
  if (mic.fault) return { name: 'mic', state: 'bad', note: `mic_${mic.fault}` }
  if (mic.open && mic.heard) return { name: 'mic', state: 'ok', note: 'micOk' }
  return { name: 'mic', state: 'wait', note: mic.open && mic.quietFor > 6 ? 'micQuiet' : 'micWait' }
}

function lightCheck({ camera, light }: Known): Check {
  if (camera.fault || light === null) return { name: 'light', state: 'wait', note: 'lightWait' }
  if (light < dark) return { name: 'light', state: 'bad', note: 'lightDark' }
  if (light > bright) return { name: 'light', state: 'bad', note: 'lightBright' }
  return { name: 'light', state: 'ok', note: 'lightOk' }
}

function networkCheck({ network, line, thinFor }: Known): Check {
  const is = (state: CheckState, note: CheckNote): Check => ({ name: 'network', state, note })
  if (!network.online || network.failed) return is('bad', 'networkBad')
  if (thinFor >= patience) return is('bad', (line?.loss ?? 0) > 0.05 ? 'networkLoss' : 'networkSlow')
  if (network.roundTrip === null) return is('wait', 'networkWait')
  return network.roundTrip > 600 ? is('bad', 'networkSlow') : is('ok', 'networkOk')
}

/** In words of the line while on air: fine, thin or gone. */
export type LineHealth = 'fine' | 'thin' | 'gone'

/** True for a line that viewers would notice. */
export const isThin = (line: LineStats): boolean => (line.loss ?? 0) > 0.05 || line.limited === 'bandwidth'

export function healthOf(state: string | null, thinFor: number): LineHealth {
  if (state !== 'on-air') return 'gone'
  return thinFor >= patience ? 'thin' : 'fine'
}

/** 1.8 Mbit/s, 240 kbit/s */
export const bitrateText = (bits: number): string =>
  bits >= 1e6 ? `${(bits / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bits / 1000)} kbit/s`
