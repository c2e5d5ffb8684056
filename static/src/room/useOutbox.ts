// What one has said and the room has not shown yet: said again after a broken line or a reload, under the same id, so that
// it appears once. Kept by the tab.
import { computed, shallowRef } from 'vue'
import { randomKey } from '@/api/intent'

export interface Outgoing {
  id: string
  text: string
  at: number // ms since 1970
  by: string // public id of who said it
}

const most = 20
const goodFor = 4 * 60_000 // the room tells repetitions for 5 minutes at least

export function useOutbox() {
  const all = shallowRef<Outgoing[]>([])
  let place = ''

  function set(next: Outgoing[]): void {
    all.value = next.slice(-most)
    if (!place) return
    try {
      if (all.value.length > 0) sessionStorage.setItem(place, JSON.stringify(all.value))
      else sessionStorage.removeItem(place)
    } catch {
      // storage is closed to us: a reload loses what is under way
    }
  }

  return {
    unseen: computed(() => all.value),
    /** Begins with what is left of an earlier visit of this tab. */
    open(session: number): void {
      place = `duoduopin.said.${session}`
      const kept = read(place).filter((o) => Date.now() - o.at < goodFor)
      if (all.value.length === 0) all.value = kept
    },
    /** Keeps a message until it arrives; gives its id. */
    put(text: string, by: string): string {
      const id = randomKey()
      set([...all.value, { id, text, at: Date.now(), by }])
      return id
    },
    arrived(id: string): void {
      if (all.value.some((o) => o.id === id)) set(all.value.filter((o) => o.id !== id))
    },
    /** Takes a message out; gives its text, '' when it is not ours. */
    take(id: string): string {
      const text = all.value.find((o) => o.id === id)?.text ?? ''
      this.arrived(id)
      return text
    },
    /** What is to be said again. Who has signed in as somebody else does not say it for them. */
    waiting(by: string): Outgoing[] {
      const fresh = all.value.filter((o) => o.by === by && Date.now() - o.at < goodFor)
      if (fresh.length < all.value.length) set(fresh)
      return fresh
    },
  }
}

function read(place: string): Outgoing[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(place) ?? '[]')
    return Array.isArray(kept) ? (kept as Outgoing[]).filter((o) => typeof o?.text === 'string' && typeof o.id === 'string') : []
  } catch {
    return []
  }
}
