// A room as its crew hears it: the conversation with what was given back or forgotten, the rules, and a bell for whatever else
// changed, so that lists are fetched again when there is something new.
import { computed, ref, shallowRef, type MaybeRefOrGetter } from 'vue'
import type { ConsoleEvent } from '@/api/console'
import type { ModerationEvent, Rules } from '@/api/moderation'
import type { RoomEvent } from '@/api/types'
import { useRoom, type ChatLine } from '@/room/useRoom'

type Heard = ModerationEvent | ConsoleEvent | RoomEvent

export interface Raid {
  text: string
  people: number
  refused: number
}

/** Joins as useRoom does; `also` hears what this page shows besides. */
export function useCrewRoom(sessionId: MaybeRefOrGetter<number | null>, also: (e: ConsoleEvent | RoomEvent) => void = () => {}) {
  const room = useRoom(sessionId, (e) => hear(e as Heard))
  const rules = shallowRef<Rules | null>(null)
  const raid = shallowRef<Raid | null>(null)
  const acted = ref(0) // something was done
  const queued = ref(0) // something waits
  const appealed = ref(0)
  const restored = shallowRef(new Map<number, string>())
  const forgotten = shallowRef(new Set<string>())

  function hear(e: Heard): void {
    switch (e.type) {
      case 'rules':
        rules.value = e
        return
      case 'restored':
        restored.value = new Map(restored.value).set(e.restored_seq, e.text ?? '')
        return
      case 'removed':
        if (restored.value.delete(e.removed_seq)) restored.value = new Map(restored.value)
        return
      case 'forgotten':
        forgotten.value = new Set(forgotten.value).add(e.user.id)
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

  const lines = computed(() => room.chat.value.map((l) => lineNow(l, restored.value, forgotten.value)))
  return { room, lines, rules, raid, acted, queued, appealed }
}

/** The line as it stands now: given back, or without name and words when its author is forgotten. */
export function lineNow(l: ChatLine, restored: ReadonlyMap<number, string>, forgotten: ReadonlySet<string>): ChatLine {
  const text = restored.get(l.seq)
  const now = l.removed && text ? { ...l, removed: false, text } : l
  return now.user && forgotten.has(now.user.id) ? { ...now, text: '', user: { ...now.user, name: '' } } : now
}

export type CrewRoom = ReturnType<typeof useCrewRoom>
