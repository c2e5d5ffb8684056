// What the assistant did to this anchor: sound off, or taken off the air. From the room, from the session, and from the
// server's refusal to publish; asked again while it lasts, because the room does not tell of a restoration.
import { useIntervalFn } from '@vueuse/core'
import { computed, ref, watch, type Ref } from 'vue'
import type { Session } from '@/api/types'
import type { LiveRoom } from '@/room/useRoom'
import type { StudioPublisher } from './usePublisher'

const askEvery = 5_000

export function useHouse(
  session: Ref<Session | undefined>,
  room: LiveRoom,
  publisher: StudioPublisher,
  me: Ref<string>,
  reload: () => unknown,
) {
  const own = computed(() => session.value?.anchors.find((a) => a.name === me.value))
  const told = computed(() => room.layout.value?.anchors.find((a) => a.anchor === me.value))
  const refused = ref(false)
  const muted = computed(() => told.value?.muted ?? own.value?.muted ?? false)
  const cut = computed(() => own.value?.cut ?? refused.value)
  const restored = ref(false)

  watch(publisher.error, (e) => {
    if (e?.code !== 'anchor-cut') return
    refused.value = true
    void reload()
  })
  watch(cut, (is, was) => (restored.value = was === true && !is && publisher.state.value !== 'on-air'))
  watch(publisher.state, (now) => {
    if (now === 'on-air') refused.value = restored.value = false
  })
  useIntervalFn(() => cut.value && void reload(), askEvery)
  return { muted, cut, restored }
}

export type House = ReturnType<typeof useHouse>
