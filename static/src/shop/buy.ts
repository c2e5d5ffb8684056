// Buying, as calls that may be repeated: a double click, a retry or a reload never orders or pays twice. Plain
// TypeScript without the framework.
import { api, ApiError } from '@/api/client'
import { fulfilled, intentKey } from '@/api/intent'
import type { Order, OrderAddress, OrderItem, Page, Payment, Quote } from '@/api/types'

export interface Wish {
  session_id: number
  items: OrderItem[]
  expected_total_fen: number // what the buyer was shown
  address?: OrderAddress
}

const patience = 2 // more tries when the shop is busy for a moment
const longestPause = 5 // s

const placing = (w: Wish): string => `order.${w.session_id}`

/** What the cart costs now. Needs a sign-in. */
export const quote = (session_id: number, items: OrderItem[], signal?: AbortSignal): Promise<Quote> =>
  api.post<Quote>('/orders/quote', { session_id, items }, { signal })

/** Places the order, or gives the one that this wish was already placed as. */
export async function place(wish: Wish): Promise<Order> {
  const order = await patiently(() => api.post<Order>('/orders', wish, { key: intentKey(placing(wish), wish) }))
  if (order.state !== 'cancelled') return order
  // The same wish was placed and given up before: this is a new one.
  fulfilled(placing(wish))
  return patiently(() => api.post<Order>('/orders', wish, { key: intentKey(placing(wish), wish) }))
}

/** Pays by the sandbox, which settles at once. The order as it is then; paid already is fine too. */
export async function pay(order: Order): Promise<Order> {
  const name = `pay.${order.id}`
  try {
    await patiently(() =>
      api.post<Payment>(`/orders/${order.id}/payments`, { provider: 'sandbox', settle: true }, { key: intentKey(name, order.id) }),
    )
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'already-paid') throw error
  }
  const now = await getOrder(order.id)
  if (now.state !== 'pending') {
    fulfilled(name)
    forget(order.session_id)
  }
  return now
}

/** The wish of this session is done with: the next one gets a key of its own. */
export const forget = (sessionId: number): void => fulfilled(`order.${sessionId}`)

export const getOrder = (id: string): Promise<Order> => api.get<Order>(`/orders/${id}`)

/** The unpaid order that stands in the way of a new one ("open-hold"), if it is still there. */
export async function openHold(sessionId: number, skus: number[]): Promise<Order | null> {
  const page = await api.get<Page<Order>>('/orders', { session_id: sessionId, state: 'pending', mine: 1 })
  return page.items.find((o) => o.items.some((i) => skus.includes(i.sku_id))) ?? page.items[0] ?? null
}

/** Asks again, as it is, while the shop says that it is busy for a moment. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let tried = 0; ; tried++) {
    try {
      return await ask()
    } catch (error) {
      const wait = error instanceof ApiError && error.status === 503 ? error.retryAfter || 1 : 0
      if (!wait || wait > longestPause || tried >= patience) throw error
      await new Promise((resolve) => setTimeout(resolve, wait * 1000))
    }
  }
}
