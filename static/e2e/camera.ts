// A film for Chromium's fake camera (YUV4MPEG2): small, so that two processors can encode it, and restless enough that
// an encoder uses the bit rate it is given. The same film on every run.
import { closeSync, openSync, writeSync } from 'node:fs'

/** Writes a film of so many frames, played over and over by the camera. noise 0..1 says how hard it is to encode. */
export function film(path: string, o: { width: number; height: number; fps: number; frames: number; noise: number }): void {
  const file = openSync(path, 'w')
  writeSync(file, `YUV4MPEG2 W${o.width} H${o.height} F${o.fps}:1 Ip A1:1 C420jpeg\n`)
  const random = dice(7)
  const chroma = Buffer.alloc((o.width / 2) * (o.height / 2))
  for (let n = 0; n < o.frames; n++) {
    writeSync(file, 'FRAME\n')
    writeSync(file, light(o, n, random))
    writeSync(file, chroma.fill(96 + n))
    writeSync(file, chroma.fill(160 - n))
  }
  closeSync(file)
}

/** One frame's luma: a slope that wanders, under noise in cells of 4 by 4. */
function light(o: { width: number; height: number; noise: number }, n: number, random: () => number): Buffer {
  const luma = Buffer.alloc(o.width * o.height)
  const cells = Math.ceil(o.width / 4)
  let row: number[] = []
  for (let y = 0; y < o.height; y++) {
    if (y % 4 === 0) row = Array.from({ length: cells }, () => (random() - 0.5) * 160 * o.noise)
    for (let x = 0; x < o.width; x++) luma[y * o.width + x] = 48 + ((x + y + n * 6) % 160) + row[x >> 2]!
  }
  return luma
}

/** A small generator of numbers 0..1 with a seed (xorshift). */
function dice(seed: number): () => number {
  let s = seed
  return () => {
    s ^= s << 13
    s ^= s >>> 17
    s ^= s << 5
    return (s >>> 0) / 2 ** 32
  }
}
