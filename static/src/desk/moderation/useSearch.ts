// A search of the record, page by page. A page can be short and the record still have more: `until` says how far back it looked.
import { onScopeDispose, ref, shallowRef } from 'vue'
import { api, type Ask } from '@/api/client'
import type { Found, RecordLine } from '@/api/moderation'

export function useSearch() {
  const items = shallowRef<RecordLine[]>()
  const next = ref('')
  const until = ref<string | null>(null)
  const error = shallowRef<unknown>(null)
  const busy = ref(false)
  let query: NonNullable<Ask['query']> = {}
  let current: AbortController | null = null

  function take(found: Found, before: RecordLine[] = []): void {
    items.value = [...before, ...found.items]
    next.value = found.next
    until.value = found.until
  }
  async function page(after: string): Promise<void> {
    current?.abort()
    const mine = (current = new AbortController())
    busy.value = true
    error.value = null
    try {
      const found = await api.get<Found>('/moderation/search', { ...query, after }, { signal: mine.signal })
      if (!mine.signal.aborted) take(found, after ? items.value : [])
    } catch (e) {
      if (!mine.signal.aborted) error.value = e
    }
    if (current === mine) busy.value = false
  }
  onScopeDispose(() => current?.abort())
  return {
    items,
    next,
    until,
    error,
    busy,
    take,
    /** Begins a search; `found`, when its first page is here already. */
    begin(q: NonNullable<Ask['query']>, found?: Found): void {
      query = q
      if (found) return take(found)
      items.value = undefined
      void page('')
    },
    more: (): Promise<void> => page(next.value),
  }
}
