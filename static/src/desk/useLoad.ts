// What pages of the desk and the studio do with the API: load one thing, load a list page by page, do one act.
import { onScopeDispose, ref, shallowRef, type WatchSource, watch } from 'vue'
import { api, ApiError, type Ask } from '@/api/client'
import type { Page } from '@/api/types'
import { notify, notifyError } from '@/ui/notify'

/** Loads at once, again when `sources` change, by reload(), and every `every` ms while `while_` says so. Old data stays while new is fetched. */
export function useLoad<T>(
  get: (signal: AbortSignal) => Promise<T>,
  options: { sources?: WatchSource[]; every?: number; while_?: (data: T) => boolean } = {},
) {
  const data = shallowRef<T>()
  const error = shallowRef<unknown>(null)
  const loading = ref(false)
  let current: AbortController | null = null
  let timer: ReturnType<typeof setTimeout> | undefined

  async function reload(): Promise<void> {
    current?.abort()
    clearTimeout(timer)
    const mine = (current = new AbortController())
    loading.value = true
    try {
      const got = await get(mine.signal)
      if (mine.signal.aborted) return
      data.value = got
      error.value = null
    } catch (e) {
      if (mine.signal.aborted) return
      error.value = e
    }
    loading.value = false
    const { every, while_ } = options
    if (every && (!data.value || !while_ || while_(data.value))) timer = setTimeout(tick, every)
  }
  function tick(): void {
    if (document.hidden) timer = setTimeout(tick, options.every)
    else void reload()
  }
  function afresh(): void {
    data.value = undefined
    error.value = null
    void reload()
  }

  if (options.sources) watch(options.sources, afresh)
  void reload()
  onScopeDispose(() => {
    current?.abort()
    clearTimeout(timer)
  })
  return { data, error, loading, reload }
}

/** A list behind a cursor. The query is watched; more() adds the next page. */
export function usePages<T>(path: string, query: () => NonNullable<Ask['query']> = () => ({})) {
  const items = shallowRef<T[]>()
  const next = ref('')
  const error = shallowRef<unknown>(null)
  const loading = ref(false)
  let current: AbortController | null = null

  async function fetchPage(after: string): Promise<void> {
    current?.abort()
    const mine = (current = new AbortController())
    loading.value = true
    try {
      const page = await api.get<Page<T>>(path, { ...query(), after }, { signal: mine.signal })
      if (mine.signal.aborted) return
      items.value = after ? [...(items.value ?? []), ...page.items] : page.items
      next.value = page.next
      error.value = null
    } catch (e) {
      if (mine.signal.aborted) return
      error.value = e
    }
    loading.value = false
  }
  const reload = (): Promise<void> => fetchPage('')
  const more = (): Promise<void> => fetchPage(next.value)

  watch(query, (now, before) => {
    if (JSON.stringify(now) === JSON.stringify(before)) return
    items.value = undefined
    void reload()
  })
  void reload()
  onScopeDispose(() => current?.abort())
  return { items, next, error, loading, reload, more }
}

/**
 * One act at a time: busy while it runs. Its error goes to `error`; with `loud` also to the foot of the screen. Gives true
 * when it worked.
 */
export function useAct(loud = true) {
  const busy = ref(false)
  const error = shallowRef<unknown>(null)
  async function run(act: () => Promise<unknown>, done?: string): Promise<boolean> {
    if (busy.value) return false
    busy.value = true
    error.value = null
    try {
      await act()
      if (done) notify(done, 'good')
      return true
    } catch (e) {
      error.value = e
      if (loud) notifyError(e)
      return false
    } finally {
      busy.value = false
    }
  }
  /** What the server says of a field. */
  const field = (name: string): string | undefined => (error.value instanceof ApiError ? error.value.field(name) : undefined)
  return { busy, error, run, field }
}
