// A room as its crew hears it: the conversation, the rules, and a bell for whatever else
// changed, so that lists are fetched again when there is something new.
import { ref, shallowRef, type MaybeRefOrGetter } from 'vue'
import type { ModerationEvent, Rules } from '@/api/moderation'
import type { RoomEvent } from '@/api/types'
import { useRoom } from '@/room/useRoom'

type Heard = ModerationEvent | RoomEvent

export interface Raid {
  text: string
  people: number
  refused: number
}

/** Joins as useRoom does; `also` hears what this page shows besides. */
export function useCrewRoom(sessionId: MaybeRefOrGetter<number | null>, also: (e: RoomEvent) => void = () => {}) {
  const room = useRoom(sessionId, (e) => hear(e as Heard))
  const rules = shallowRef<Rules | null>(null)
  const raid = shallowRef<Raid | null>(null)
  const acted = ref(0) // something was done
  const queued = ref(0) // something waits
  const appealed = ref(0)

  function hear(e: Heard): void {
    switch (e.type) {
      case 'rules':
        rules.value = e
        return
      case 'hello':
        acted.value++ // what was told while we were away is told nobody: look again
        queued.value++
        appealed.value++
        return also(e)
      case 'moderation':
        return told(e)
      default:
        also(e)
    }
  }

  function told(e: Extract<ModerationEvent, { type: 'moderation' }>): void {
    if (e.what === 'act') acted.value++
    else if (e.what === 'queue') queued.value++
    else if (e.what === 'appeal') appealed.value++
    else raid.value = e
  }

  return { room, lines: room.chat, rules, raid, acted, queued, appealed }
}

export type CrewRoom = ReturnType<typeof useCrewRoom>
