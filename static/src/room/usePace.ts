// A conversation that can be read: few lines come at once, many come in steps with a rest between, so that the eyes have
// something that stands still. Nothing is left out: what came meanwhile is in the next step.
import { onScopeDispose, ref, shallowRef, watch, type ShallowRef } from 'vue'

const fast = 8 // lines in the last second from which on they come in steps; ours, by eye
const step = 1_000 // ms between steps

/** Lines that are `urgent`, as one's own and the anchor's, never wait. */
export function usePace<T extends { seq: number }>(
  lines: () => T[],
  urgent: (line: T) => boolean,
): { shown: Readonly<ShallowRef<T[]>>; rate: Readonly<typeof rate> } {
  const shown = shallowRef(lines())
  const rate = ref(0) // lines a second while it is fast, else 0
  let newest = shown.value.at(-1)?.seq ?? 0
  let came = 0 // since the last step
  let timer: ReturnType<typeof setTimeout> | undefined

  function advance(): void {
    timer = undefined
    shown.value = lines()
    rate.value = came > fast ? came : 0
    if (came > 0) timer = setTimeout(advance, step)
    came = 0
  }

  watch(lines, (now) => {
    let fresh = 0
    while (fresh < now.length && now[now.length - 1 - fresh]!.seq > newest) fresh++
    came += fresh
    newest = now.at(-1)?.seq ?? 0
    if (!timer) timer = setTimeout(advance, step)
    const quiet = rate.value === 0 && came <= fast
    if (quiet || now.slice(now.length - fresh).some(urgent)) shown.value = now
    else if (fresh === 0) shown.value = upTo(now, shown.value.at(-1)?.seq ?? 0) // something was taken down: at once
  })
  onScopeDispose(() => clearTimeout(timer))
  return { shown, rate }
}

function upTo<T extends { seq: number }>(lines: T[], seq: number): T[] {
  let n = lines.length
  while (n > 0 && lines[n - 1]!.seq > seq) n--
  return lines.slice(0, n)
}
