// The flash sales of a session: those that are announced or run, by SKU, and what can be done with them.
import { computed, watch, type Ref } from 'vue'
import { api } from '@/api/client'
import type { FlashSale } from '@/api/console'
import type { Page } from '@/api/types'
import { notify } from '@/ui/notify'
import { useAct, useLoad } from '../useLoad'
import { t } from './messages'

export interface FlashPlan {
  sku_id: number
  price_fen: number
  stock: number
  per_person: number
  seconds: number
  starts_in_seconds: number
}

export function useFlash(sessionId: () => number, changed: Ref<number>) {
  const { data, reload } = useLoad((signal) => api.get<Page<FlashSale>>(`/sessions/${sessionId()}/flash-sales`, undefined, { signal }), {
    sources: [sessionId],
  })
  const act = useAct(false)
  const bySku = computed(() => new Map((data.value?.items ?? []).filter((f) => f.state !== 'over').map((f) => [f.sku_id, f])))
  watch(changed, reload)

  async function run(what: () => Promise<unknown>, done?: string): Promise<boolean> {
    const worked = await act.run(what, done)
    await reload()
    return worked
  }
  const stop = (id: number): Promise<boolean> => run(() => api.post(`/flash-sales/${id}/stop`), t('flashStopped'))
  return {
    bySku,
    busy: act.busy,
    error: act.error,
    field: act.field,
    reload,
    stop,
    /** Begins a sale; for five seconds it can be called off. */
    async start(plan: FlashPlan): Promise<boolean> {
      let made: FlashSale | undefined
      const worked = await run(async () => (made = await api.post<FlashSale>(`/sessions/${sessionId()}/flash-sales`, plan)))
      if (worked && made) {
        const id = made.id
        notify(t(plan.starts_in_seconds > 0 ? 'flashAnnounced' : 'flashBegun'), 'good', { label: t('callOff'), run: () => void stop(id) })
      }
      return worked
    },
    extend: (id: number, seconds: number) => run(() => api.post(`/flash-sales/${id}/extend`, { seconds }), t('flashExtended')),
  }
}

export type Flash = ReturnType<typeof useFlash>
