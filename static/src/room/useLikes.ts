// Likes are summed and sent once a second; what is not sent yet already counts on this screen. Other people's likes rise
// too, a few hearts for however many there were.
import { useIntervalFn } from '@vueuse/core'
import { computed, onScopeDispose, ref, watch } from 'vue'
import type { LiveRoom } from './useRoom'

const most = 100 // in one message

export function useLikes(room: LiveRoom) {
  const waiting = ref(0)
  const hearts = ref<number[]>([]) // keys of those that rise now
  let last = 0
  let own = 0 // of ours, in the room's count and not risen again

  function flush(): void {
    const n = Math.min(waiting.value, most)
    if (n > 0 && room.like(n)) {
      waiting.value -= n
      own += n
      room.likes.value += n // the server's next count is at least this
    }
  }

  function like(): void {
    waiting.value++
    rise()
  }

  function rise(): void {
    const key = ++last
    hearts.value = [...hearts.value, key].slice(-6)
    setTimeout(() => (hearts.value = hearts.value.filter((h) => h !== key)), 1000)
  }

  watch(room.likes, (now, before) => {
    const others = now - before - own
    own = Math.max(0, own - (now - before))
    if (before === 0 || others <= 0 || document.hidden) return
    for (let i = 0; i < Math.min(3, others); i++) setTimeout(rise, i * 250)
  })

  useIntervalFn(flush, 1000)
  onScopeDispose(flush)
  return { like, hearts, count: computed(() => room.likes.value + waiting.value) }
}
