// Focus of a sheet or dialog: goes in when it opens, stays inside, comes back to where it was when it closes.
import { nextTick, onScopeDispose, type Ref, watch } from 'vue'

const focusable =
  'a[href],button:not(:disabled),input:not(:disabled):not([type=hidden]),select:not(:disabled),textarea:not(:disabled),[tabindex]:not([tabindex="-1"])'

const open: symbol[] = [] // which traps are open, the topmost last: only that one listens

/** While `on` is true, Tab stays inside `box`, Escape calls `escape`, and the page behind does not scroll. */
export function useTrap(box: Ref<HTMLElement | null>, on: Ref<boolean>, escape: () => void): void {
  const me = Symbol('trap')
  let before: Element | null = null

  function onKey(e: KeyboardEvent): void {
    if (open.at(-1) !== me || !box.value) return
    if (e.key === 'Escape') {
      e.stopPropagation()
      escape()
      return
    }
    if (e.key !== 'Tab') return
    const all = [...box.value.querySelectorAll<HTMLElement>(focusable)].filter(
      (el) => el.offsetParent !== null || el === document.activeElement,
    )
    const [first, last] = [all[0], all.at(-1)]
    if (!first || !last) return e.preventDefault()
    const inside = box.value.contains(document.activeElement)
    if (e.shiftKey && (!inside || document.activeElement === first || document.activeElement === box.value)) {
      e.preventDefault()
      last.focus()
    } else if (!e.shiftKey && (!inside || document.activeElement === last)) {
      e.preventDefault()
      first.focus()
    }
  }

  function leave(): void {
    const at = open.indexOf(me)
    if (at < 0) return
    open.splice(at, 1)
    document.removeEventListener('keydown', onKey, true)
    if (open.length === 0) document.documentElement.style.overflow = ''
    if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true })
  }

  watch(
    on,
    async (now) => {
      if (!now) return leave()
      before = document.activeElement
      open.push(me)
      document.addEventListener('keydown', onKey, true)
      document.documentElement.style.overflow = 'hidden'
      await nextTick()
      const wanted = box.value?.querySelector<HTMLElement>('[autofocus]') ?? box.value
      wanted?.focus({ preventScroll: true })
    },
    { immediate: true },
  )
  onScopeDispose(leave)
}
