// Whose picture should be large: who speaks, but calmly. A cough does not turn the page, and nobody who stops speaking
// loses the place before another one speaks.
import { onScopeDispose, readonly, ref, watch, type Ref } from 'vue'
import type { Layout } from '@/api/types'

const calm = 2_000 // ms between two changes

export function useSpeaker(layout: Ref<Layout | null>) {
  const speaker = ref('')
  let changedAt = -Infinity
  let timer: ReturnType<typeof setTimeout> | undefined

  function follow(wanted: string): void {
    clearTimeout(timer)
    if (!wanted || wanted === speaker.value) return
    const wait = changedAt + calm - Date.now()
    if (wait > 0) return void (timer = setTimeout(() => follow(wanted), wait))
    changedAt = Date.now()
    speaker.value = wanted
  }
  watch(layout, (l) => follow(l?.speaker ?? ''), { immediate: true })
  onScopeDispose(() => clearTimeout(timer))
  return readonly(speaker)
}
