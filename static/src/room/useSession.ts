// The session of a room's address: fetched, kept up to date by the room's events, fetched again when they can't tell all.
import { useIntervalFn } from '@vueuse/core'
import { computed, watch } from 'vue'
import { api } from '@/api/client'
import type { Session } from '@/api/types'
import { useAsk } from '@/ui/useAsk'
import type { LiveRoom } from './useRoom'

const pollWithoutRoom = 10_000

export function useSession(id: number, room: LiveRoom) {
  const asked = useAsk((signal) => api.get<Session>(`/sessions/${id}`, undefined, { signal }))
  const session = computed(() => asked.data.value)

  watch(session, (s) => s && room.seed(s))
  watch(room.stale, () => void asked.ask())

  /** What the room says of its state is newer than what was fetched. */
  const state = computed(() => room.state.value ?? session.value?.state ?? null)
  watch(state, (now, before) => {
    if (now && before && session.value && now !== session.value.state) void asked.ask()
  })

  // A room that took no members (it is not open yet, or the line is lost for good) is asked about instead.
  useIntervalFn(() => {
    const waiting = state.value === 'scheduled' || state.value === 'rehearsing'
    if (waiting && room.connection.value !== 'open' && document.visibilityState === 'visible') void asked.ask()
  }, pollWithoutRoom)

  return { session, state, error: asked.error, again: asked.ask }
}
