// The picture of a session while `on`: who is seen, whether the line holds. Foreign objects stay out of deep reactivity.
import { onScopeDispose, ref, shallowRef, toValue, watch as follow, type MaybeRefOrGetter } from 'vue'
import type { ApiError } from '@/api/client'
import { watch, type Seat, type Watch, type WatchState } from '@/media/whep'

export function useWatch(sessionId: number, anchors: MaybeRefOrGetter<number>, on: MaybeRefOrGetter<boolean>) {
  const seats = shallowRef<Seat[]>([])
  const line = ref<WatchState>('connecting')
  const refusal = shallowRef<ApiError | null>(null)
  const weak = ref(false)
  let watching: Watch | undefined

  function start(): void {
    stop()
    refusal.value = null
    watching = watch(sessionId, toValue(anchors), {
      onState: (state, error) => {
        line.value = state
        refusal.value = error ?? null
      },
      onSeats: (now) => (seats.value = now),
      onWeak: (is) => (weak.value = is),
    })
  }

  function stop(): void {
    watching?.close()
    watching = undefined
    seats.value = []
    weak.value = false
  }

  follow([() => toValue(on), () => toValue(anchors)], ([now]) => (now ? start() : stop()), { immediate: true })
  onScopeDispose(stop)
  return { seats, line, refusal, weak, again: start }
}
