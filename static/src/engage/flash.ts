// Which flash sale of a product is to be told: the one that runs, else the next.
import type { Flash } from '@/api/types'

export interface Told {
  flash: Flash
  runs: boolean
}

/** `now` is the server's time in ms since 1970. */
export function flashOf(skus: readonly { flash?: Flash | null }[], now: number): Told | null {
  const open = skus.map((s) => s.flash).filter((f): f is Flash => !!f && Date.parse(f.ends_at) > now)
  const running = open.filter((f) => Date.parse(f.starts_at) <= now)
  const first = (list: Flash[], by: 'starts_at' | 'ends_at') => list.sort((a, b) => Date.parse(a[by]) - Date.parse(b[by]))[0]
  const flash = first(running, 'ends_at') ?? first(open, 'starts_at')
  return flash ? { flash, runs: running.includes(flash) } : null
}
