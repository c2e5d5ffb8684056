// The picture of a session while `on`: who is seen, whether the line holds. Foreign objects stay out of deep reactivity.
import { onScopeDispose, ref, shallowRef, toValue, watch as follow, type MaybeRefOrGetter } from 'vue'
import type { ApiError } from '@/api/client'
import type { PictureWish } from '@/media/picture'
import { watch, type Seat, type Watch, type WatchState } from '@/media/whep'

export interface WatchUse {
  talkback?: boolean // as an anchor: the others
  wish?: Partial<PictureWish>
  expected?: () => boolean // somebody is on air
}

export function useWatch(sessionId: number, anchors: MaybeRefOrGetter<number>, on: MaybeRefOrGetter<boolean>, use: WatchUse = {}) {
  const seats = shallowRef<Seat[]>([])
  const line = ref<WatchState>('connecting')
  const refusal = shallowRef<ApiError | null>(null)
  const weak = ref(false)
  const choice = ref(false) // the quality can be chosen
  const height = ref<number | null>(null)
  let wish: Partial<PictureWish> = { ...use.wish }
  let watching: Watch | undefined

  function start(): void {
    stop()
    refusal.value = null
    const hooks = {
      onState: (state: WatchState, error?: ApiError) => {
        line.value = state
        refusal.value = error ?? null
      },
      onSeats: (now: Seat[]) => (seats.value = now),
      onWeak: (is: boolean) => (weak.value = is),
      onChoice: (is: boolean) => (choice.value = is),
      onHeight: (lines: number | null) => (height.value = lines),
      expected: use.expected,
    }
    watching = watch(sessionId, toValue(anchors), hooks, { talkback: use.talkback, wish })
  }

  function stop(): void {
    watching?.close()
    watching = undefined
    seats.value = []
    weak.value = choice.value = false
    height.value = null
  }

  function want(some: Partial<PictureWish>): void {
    wish = { ...wish, ...some }
    watching?.want(some)
  }

  follow([() => toValue(on), () => toValue(anchors)], ([now]) => (now ? start() : stop()), { immediate: true })
  onScopeDispose(stop)
  return { seats, line, refusal, weak, choice, height, want, again: start }
}
