// Filters of the fulfilment desk that a person keeps under a name, on this device.
import { useStorage } from '@vueuse/core'
import { computed } from 'vue'

export interface Wish {
  state: string // one state, or empty for all
  session: string // id, or empty for all
  q: string
  channel: string // where it was bought, or empty for everywhere
}

export interface View extends Wish {
  name: string
}

const most = 12

/** Our own room: what other platforms sold has no address here, and is sent from there. */
export const ours = 'room'

export const sameWish = (a: Wish, b: Wish): boolean =>
  a.state === b.state && a.session === b.session && a.q === b.q && a.channel === b.channel

export function useViews() {
  const kept = useStorage<View[]>('duoduopin.desk.views', [])
  const views = computed({
    get: () => kept.value.map((v) => ({ ...v, channel: v.channel ?? ours })), // kept before channels were a filter
    set: (all) => (kept.value = all),
  })
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
  channel: w.channel,
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
