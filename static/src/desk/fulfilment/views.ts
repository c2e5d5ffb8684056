// Filters of the fulfilment desk that a person keeps under a name, on this device.
import { useStorage } from '@vueuse/core'

export interface Wish {
  state: string // one state, or empty for all
  session: string // id, or empty for all
  q: string
}

export interface View extends Wish {
  name: string
}

const most = 12

export const sameWish = (a: Wish, b: Wish): boolean => a.state === b.state && a.session === b.session && a.q === b.q

export function useViews() {
  const views = useStorage<View[]>('duoduopin.desk.views', [])
  /** A name that is there already is given the new filter. */
  function keep(name: string, wish: Wish): void {
    views.value = [...views.value.filter((v) => v.name !== name), { ...wish, name }].slice(-most)
  }
  function drop(name: string): void {
    views.value = views.value.filter((v) => v.name !== name)
  }
  return { views, keep, drop }
}

/** The query of the server's lists, exports and prints for a filter; the longest waiting first where something has to be sent. */
export const queryOf = (w: Wish) => ({
  state: w.state,
  session_id: w.session,
  q: w.q.trim(),
  oldest: w.state === 'paid' ? true : undefined,
})

/** The address of an export or print. */
export function addressOf(file: string, query: Record<string, string | number | boolean | undefined>): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query)) if (v !== undefined && v !== '') q.set(k, String(v))
  const text = q.toString()
  return `/api/v1/fulfilment/${file}${text && `?${text}`}`
}
