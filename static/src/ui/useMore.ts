// A list that is paged by cursor: the first page at once, more() adds the next one, again() starts over.
import { computed, onScopeDispose, ref, shallowRef } from 'vue'
import type { Page } from '@/api/types'

export function useMore<T>(question: (after: string | undefined, signal: AbortSignal) => Promise<Page<T>>) {
  const items = shallowRef<T[]>([])
  const next = ref('')
  const loaded = ref(false)
  const asking = ref(false)
  const error = shallowRef<unknown>(null)
  let going: AbortController | undefined

  async function load(after?: string): Promise<void> {
    going?.abort()
    const mine = (going = new AbortController())
    asking.value = true
    try {
      const page = await question(after, mine.signal)
      if (mine !== going) return
      items.value = after ? [...items.value, ...page.items] : page.items
      next.value = page.next
      loaded.value = true
      error.value = null
    } catch (e) {
      if (mine === going && !mine.signal.aborted) error.value = e
    } finally {
      if (mine === going) asking.value = false
    }
  }

  onScopeDispose(() => going?.abort())
  void load()
  return {
    items,
    loaded,
    asking,
    error,
    hasMore: computed(() => next.value !== ''),
    more: (): Promise<void> => load(next.value),
    again: (): Promise<void> => load(),
  }
}
