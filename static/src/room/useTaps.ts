// One tap or two, on the picture.
import { onScopeDispose } from 'vue'

const within = 260 // ms between the two taps of a double tap

export function useTaps(once: () => void, twice: () => void) {
  let waiting: ReturnType<typeof setTimeout> | undefined
  let last = 0
  onScopeDispose(() => clearTimeout(waiting))
  return {
    tap(): void {
      clearTimeout(waiting)
      const now = Date.now()
      if (now - last < within) {
        last = now // a third tap in time likes again
        return twice()
      }
      last = now
      waiting = setTimeout(once, within)
    },
  }
}
