// Buying, as calls that may be repeated: a double click, a retry or a reload never orders or pays twice. Plain
// TypeScript without the framework.
import { api } from '@/api/client'
import { fulfilled, intentKey } from '@/api/intent'
import { patiently } from '@/api/patience'
import type { CartAsk, HeldCoupon, OfferedCoupon, Points, Quoted } from '@/api/trade'
import type { Order, Page } from '@/api/types'

export interface Wish extends CartAsk {
  expected_total_fen: number // what the buyer was shown
}

const placing = (w: Wish): string => `order.${w.session_id}`

/** What the cart costs now, and why. Needs a sign-in. */
export const quote = (cart: CartAsk): Promise<Quoted> => api.post<Quoted>('/quotes', cart)

/** My coupons that may still be used, newest first. */
export async function myCoupons(): Promise<HeldCoupon[]> {
  const page = await api.get<Page<HeldCoupon>>('/me/coupons', { limit: 100 })
  return page.items.filter((h) => h.state === 'open')
}

/** Coupons that people in the session may take and I have not had. */
export async function offeredCoupons(sessionId: number): Promise<OfferedCoupon[]> {
  const page = await api.get<{ items: OfferedCoupon[] }>(`/sessions/${sessionId}/coupons`)
  return page.items.filter((c) => c.mine < c.per_person && c.left !== 0)
}

export const claimCoupon = (id: number): Promise<HeldCoupon> => api.post<HeldCoupon>(`/coupons/${id}/claim`)

export const myPoints = (): Promise<Points> => api.get<Points>('/me/points')

/** Places the order, or gives the one that this wish was already placed as. */
export async function place(wish: Wish): Promise<Order> {
  const order = await patiently(() => api.post<Order>('/orders', wish, { key: intentKey(placing(wish), wish) }))
  if (order.state !== 'cancelled') return order
  // The same wish was placed and given up before: this is a new one.
  fulfilled(placing(wish))
  return patiently(() => api.post<Order>('/orders', wish, { key: intentKey(placing(wish), wish) }))
}

/** The wish of this session is done with: the next one gets a key of its own. */
export const forget = (sessionId: number): void => fulfilled(`order.${sessionId}`)

export const getOrder = (id: string): Promise<Order> => api.get<Order>(`/orders/${id}`)

/** The unpaid order that stands in the way of a new one ("open-hold"), if it is still there. */
export async function openHold(sessionId: number, skus: number[]): Promise<Order | null> {
  const page = await api.get<Page<Order>>('/orders', { session_id: sessionId, state: 'pending', mine: 1 })
  return page.items.find((o) => o.items.some((i) => skus.includes(i.sku_id))) ?? page.items[0] ?? null
}
