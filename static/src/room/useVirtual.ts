// A list of lines of unknown heights of which only those in sight are in the page. What is being read stays where it is on
// the screen when lines come, go or turn out taller than was thought.
import { useEventListener, useResizeObserver } from '@vueuse/core'
import { computed, nextTick, ref, shallowRef, watch, type ComputedRef, type Ref } from 'vue'

const guess = 30 // px of a line that was never shown
const beyond = 300 // px above and below the sight that are in the page too
const near = 48 // px from the bottom that count as at the bottom

export interface Line {
  seq: number
}

/** Where each line begins, in px from the first; one more for the end. */
export function offsetsOf(lines: readonly Line[], heights: ReadonlyMap<number, number>, gap: number): Float64Array {
  const offsets = new Float64Array(lines.length + 1)
  for (let i = 0; i < lines.length; i++) offsets[i + 1] = offsets[i]! + (heights.get(lines[i]!.seq) ?? guess) + gap
  return offsets
}

/** The last line that begins at or before y. */
export function lineAt(offsets: Float64Array, y: number): number {
  let low = 0
  let high = Math.max(0, offsets.length - 2)
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (offsets[middle]! <= y) low = middle
    else high = middle - 1
  }
  return low
}

/** Elements of the lines carry data-seq. `gap` px lie between lines. */
export function useVirtual<T extends Line>(box: Ref<HTMLElement | null>, lines: ComputedRef<T[]>, gap: number) {
  const heights = new Map<number, number>()
  const measured = ref(0)
  const top = ref(0) // what was scrolled
  const sight = ref(0) // height of the box
  const atBottom = ref(true)
  const anchor = shallowRef<{ seq: number; below: number } | null>(null) // what is read, and how far it is scrolled past
  let width = 0

  const offsets = computed(() => (void measured.value, offsetsOf(lines.value, heights, gap)))
  const total = computed(() => offsets.value.at(-1) ?? 0)
  const range = computed(() => {
    const from = atBottom.value ? Math.max(0, total.value - sight.value) : top.value
    return { first: lineAt(offsets.value, from - beyond), last: lineAt(offsets.value, from + sight.value + beyond) + 1 }
  })
  const shown = computed(() => lines.value.slice(range.value.first, range.value.last))
  const before = computed(() => offsets.value[range.value.first] ?? 0)
  const after = computed(() => Math.max(0, total.value - (offsets.value[Math.min(range.value.last, lines.value.length)] ?? 0)))

  /** Reads the heights of what is in the page; says whether any was news. */
  function measure(): boolean {
    let news = false
    for (const el of box.value?.querySelectorAll<HTMLElement>('[data-seq]') ?? []) {
      const seq = Number(el.dataset.seq)
      const height = el.offsetHeight
      if (height === 0 || heights.get(seq) === height) continue
      heights.set(seq, height)
      news = true
    }
    if (news) measured.value++
    return news
  }

  /** Puts what is read back to its place on the screen. */
  function hold(): void {
    const el = box.value
    if (!el) return
    if (atBottom.value) el.scrollTop = el.scrollHeight
    else if (anchor.value) {
      const i = indexOf(lines.value, anchor.value.seq)
      const want = (offsets.value[i] ?? 0) + (lines.value[i]?.seq === anchor.value.seq ? anchor.value.below : 0)
      if (Math.abs(el.scrollTop - want) >= 1) el.scrollTop = want
    }
    top.value = el.scrollTop
  }

  async function settle(): Promise<void> {
    if (!measure()) return hold()
    await nextTick()
    measure()
    await nextTick()
    hold()
  }

  function read(): void {
    const el = box.value
    if (!el) return
    top.value = el.scrollTop
    atBottom.value = el.scrollHeight - el.scrollTop - el.clientHeight < near
    const i = lineAt(offsets.value, el.scrollTop)
    const line = lines.value[i]
    anchor.value = line ? { seq: line.seq, below: el.scrollTop - offsets.value[i]! } : null
  }

  useEventListener(box, 'scroll', read, { passive: true })
  useResizeObserver(box, ([entry]) => {
    const el = box.value
    if (!el || !entry) return
    sight.value = el.clientHeight
    if (width !== el.clientWidth) heights.clear() // lines break elsewhere
    width = el.clientWidth
    measured.value++
    void settle()
  })
  watch([shown, before], () => void settle(), { flush: 'post', immediate: true })

  return {
    shown,
    before,
    after,
    atBottom,
    toBottom(): void {
      atBottom.value = true
      void settle()
    },
  }
}

/** The first line whose seq is not smaller. */
function indexOf(lines: readonly Line[], seq: number): number {
  let low = 0
  let high = lines.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (lines[middle]!.seq < seq) low = middle + 1
    else high = middle
  }
  return low
}
