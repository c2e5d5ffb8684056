// How far the server is, asked every few seconds.
import { useOnline } from '@vueuse/core'
import { onScopeDispose, ref } from 'vue'
import { api } from '@/api/client'

const every = 4000

export function useNetwork() {
  const online = useOnline()
  const roundTrip = ref<number | null>(null)
  const failed = ref(false)
  let stopped = false
  let timer: ReturnType<typeof setTimeout> | undefined

  async function probe(): Promise<void> {
    const from = performance.now()
    try {
      await api.get('/me', undefined, { timeout: 5000 })
      const took = performance.now() - from
      roundTrip.value = roundTrip.value === null ? took : Math.min(took, roundTrip.value * 0.5 + took * 0.5)
      failed.value = false
    } catch {
      failed.value = true
    }
    if (!stopped) timer = setTimeout(() => void probe(), every)
  }
  void probe()
  onScopeDispose(() => {
    stopped = true
    clearTimeout(timer)
  })
  return { online, roundTrip, failed, stop: () => ((stopped = true), clearTimeout(timer)) }
}
