// One question to the server as reactive state: the answer, the error, whether it is being asked. A newer question
// replaces an older one; all end with the scope.
import { onScopeDispose, ref, shallowRef } from 'vue'

/** Asks at once, and again by ask(). While asking again the last answer stays; `error` is the last attempt's. */
export function useAsk<T>(question: (signal: AbortSignal) => Promise<T>) {
  const data = shallowRef<T | null>(null)
  const error = shallowRef<unknown>(null)
  const asking = ref(false)
  let going: AbortController | undefined

  async function ask(): Promise<void> {
    going?.abort()
    const mine = (going = new AbortController())
    asking.value = true
    try {
      const answer = await question(mine.signal)
      if (mine !== going) return
      data.value = answer
      error.value = null
    } catch (e) {
      if (mine === going && !mine.signal.aborted) error.value = e
    } finally {
      if (mine === going) asking.value = false
    }
  }

  onScopeDispose(() => going?.abort())
  void ask()
  return { data, error, asking, ask }
}
