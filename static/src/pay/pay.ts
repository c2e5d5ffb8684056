// Paying an order: the ways to pay that fit this browser, and starting one. A start may be repeated: the key of an order,
// provider and kind stays until it is paid or given up, so that a second click or a reload starts nothing twice. Plain
// TypeScript without the framework.
import { api, ApiError } from '@/api/client'
import { fulfilled, intentKey } from '@/api/intent'
import { patiently } from '@/api/patience'
import type { PayAction, PayMethod, StartedPayment } from '@/api/trade'
import type { Order } from '@/api/types'

export interface Way {
  id: string // provider.kind
  provider: PayMethod['provider']
  kind: string
  action: PayAction
}

/** What the server offers this browser, the best of each provider; WeChat's JSAPI needs to know who one is at WeChat, which we do not. */
export function waysOf(methods: PayMethod[]): Way[] {
  return methods.flatMap((m) => {
    const fitting = m.kinds.filter((k) => k.fits && k.action !== 'jsapi')
    const kind = fitting.find((k) => k.best) ?? fitting[0]
    return kind ? [{ id: `${m.provider}.${kind.kind}`, provider: m.provider, kind: kind.kind, action: kind.action }] : []
  })
}

export const getWays = async (signal?: AbortSignal): Promise<Way[]> =>
  waysOf((await api.get<{ items: PayMethod[] }>('/payment-methods', undefined, { signal })).items)

const started = (orderId: string, way: Way, settle: boolean): string => `pay.${orderId}.${way.id}${settle ? '.settle' : ''}`

/** Starts a payment, or gives the one that was started so before. With `settle` the sandbox pays at once. Null: paid already. */
export async function start(orderId: string, way: Way, settle = false): Promise<StartedPayment | null> {
  const body = { provider: way.provider, kind: way.kind, ...(settle ? { settle: true } : {}) }
  const name = started(orderId, way, settle)
  try {
    return await patiently(() => api.post<StartedPayment>(`/orders/${orderId}/payments`, body, { key: intentKey(name, body) }))
  } catch (error) {
    if (error instanceof ApiError && error.code === 'already-paid') return null
    throw error
  }
}

/** The started payment is done with: paying again starts a new one. */
export function giveUpPayment(orderId: string, way: Way): void {
  fulfilled(started(orderId, way, true))
  fulfilled(started(orderId, way, false))
}

export const getOrder = (id: string): Promise<Order> => api.get<Order>(`/orders/${id}`)
