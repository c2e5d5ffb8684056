// Likes are summed and sent once a second; what is not sent yet already counts on this screen.
import { useIntervalFn } from '@vueuse/core'
import { computed, onScopeDispose, ref } from 'vue'
import type { LiveRoom } from './useRoom'

const most = 100 // in one message

export function useLikes(room: LiveRoom) {
  const waiting = ref(0)
  const hearts = ref<number[]>([]) // keys of those that rise now
  let last = 0

  function flush(): void {
    const n = Math.min(waiting.value, most)
    if (n > 0 && room.like(n)) {
      waiting.value -= n
      room.likes.value += n // the server's next count is at least this
    }
  }

  function like(): void {
    waiting.value++
    const key = ++last
    hearts.value = [...hearts.value, key].slice(-6)
    setTimeout(() => (hearts.value = hearts.value.filter((h) => h !== key)), 1000)
  }

  useIntervalFn(flush, 1000)
  onScopeDispose(flush)
  return { like, hearts, count: computed(() => room.likes.value + waiting.value) }
}
