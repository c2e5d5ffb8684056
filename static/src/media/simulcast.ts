// Several sizes of one picture at once (simulcast): viewers on thin lines and small tiles take a small one, and nothing
// has to be transcoded. The rids are the contract's: q a quarter, h a half, f the whole. RFC 8853. Plain TypeScript.

/** A layer of the picture as addTransceiver takes it. */
export interface Layer {
  rid: 'q' | 'h' | 'f'
  scaleResolutionDownBy: number
  maxBitrate: number // bit/s
}

const least = 135 // pixels of a layer's shorter side: below it nobody sees anything
const steps = [
  { rid: 'q', by: 4, share: 0.06 },
  { rid: 'h', by: 2, share: 0.2 },
  { rid: 'f', by: 1, share: 1 },
] as const

/**
 * The layers of a camera or screen of that size, the smallest first as browsers want them: three from 540 lines up, two from
 * 270, else one. `most` is what the whole picture may take in bit/s: a camera of fewer lines than 720 gets less.
 */
export function layersOf(width: number, height: number, most: number): Layer[] {
  const side = Math.min(width, height) || 720 // not known yet: what we asked the camera for
  const whole = Math.min(most, Math.max(600_000, Math.round((most * side) / 720)))
  return steps
    .filter((s) => s.by === 1 || side / s.by >= least)
    .map((s) => ({ rid: s.rid, scaleResolutionDownBy: s.by, maxBitrate: Math.round(whole * s.share) }))
}

/** The layers of a track, by what it says of itself. */
export function layersOfTrack(track: MediaStreamTrack, most: number): Layer[] {
  const { width = 0, height = 0 } = track.getSettings?.() ?? {}
  return layersOf(width, height, most)
}

/** True when the answer takes more than one layer: otherwise a browser would go on with the first one, the smallest. */
export const takesLayers = (answer: string): boolean => /^a=simulcast:.*\brecv\b/m.test(answer)
