// One order of the buyer's: fetched, paid, given up, confirmed.
import { ref, shallowRef } from 'vue'
import { api, ApiError } from '@/api/client'
import type { Order, OrderAddress } from '@/api/types'
import { getOrder } from '@/pay/pay'
import { usePay } from '@/pay/usePay'
import { forget } from '@/shop/buy'
import { notify } from '@/ui/notify'
import { useAsk } from '@/ui/useAsk'
import { t } from './messages'

export function useOrder(id: string) {
  const { data: order, error, ask } = useAsk((signal) => api.get<Order>(`/orders/${id}`, undefined, { signal }))
  const busy = ref(false)
  const refusal = shallowRef<unknown>(null) // why the last act did not work

  async function act(doIt: (o: Order) => Promise<Order>, done: string): Promise<void> {
    if (busy.value || !order.value) return
    busy.value = true
    refusal.value = null
    try {
      order.value = await doIt(order.value)
      notify(done, 'good')
    } catch (e) {
      refusal.value = e
      if (e instanceof ApiError && e.status === 409) order.value = await getOrder(id).catch(() => order.value)
    } finally {
      busy.value = false
    }
  }

  const paying = usePay(
    () => (order.value?.state === 'pending' ? order.value : null),
    (now) => {
      if (order.value?.state === 'pending' && now.state !== 'pending') {
        forget(now.session_id)
        if (now.state !== 'cancelled') notify(t('paidNow'), 'good')
      }
      order.value = now
    },
  )

  return {
    order,
    error,
    ask,
    busy,
    refusal,
    paying,
    sendTo: (address: OrderAddress) => act((o) => api.put<Order>(`/orders/${o.id}/address`, address), t('addressKept')),
    cancel: () => act((o) => api.post<Order>(`/orders/${o.id}/cancel`), t('cancelledNow')),
    confirm: () => act((o) => api.post<Order>(`/orders/${o.id}/complete`), t('confirmedNow')),
  }
}
