// The quality that this person likes, kept in the browser.
import { useStorage } from '@vueuse/core'
import { computed } from 'vue'
import type { Quality } from '@/media/picture'

export const qualities: readonly Quality[] = ['auto', 'smooth', 'clear']

export function useQuality() {
  const kept = useStorage<string>('duoduopin.quality', 'auto')
  return computed<Quality>({
    get: () => qualities.find((q) => q === kept.value) ?? 'auto',
    set: (q) => (kept.value = q),
  })
}
