// Which of my coupons fit a cart, and which to propose. The server decides at every quote and order; this only spares the
// buyer trying: the rules are those of its package pricing.
import type { Coupon, HeldCoupon } from '@/api/trade'

export const mostCoupons = 3 // in one order, each of another kind

export interface CartLine {
  sku_id: number
  product_id: number
  quantity: number
  price_fen: number
}

export type CouponFault = 'closed' | 'session' | 'goods' | 'threshold'

export interface Fit {
  held: HeldCoupon
  off_fen: number // what it would take off alone
  fault: CouponFault | null
  missing_fen: number // to its threshold
}

/** How a coupon fits a cart in a session at a moment (ms). */
export function fitOf(held: HeldCoupon, lines: CartLine[], sessionId: number, now: number): Fit {
  const c = held.coupon
  const goods = lines.filter((l) => c.products.length === 0 || c.products.includes(l.product_id))
  const sum = goods.reduce((n, l) => n + l.price_fen * l.quantity, 0)
  const missing = Math.max(0, c.threshold_fen - sum)
  const fault = faultOf(held, goods.length > 0, missing > 0, sessionId, now)
  return { held, off_fen: fault ? 0 : offOf(c, sum), fault, missing_fen: fault === 'threshold' ? missing : 0 }
}

function faultOf(held: HeldCoupon, goods: boolean, short: boolean, sessionId: number, now: number): CouponFault | null {
  const c = held.coupon
  if (held.state !== 'open' || now < Date.parse(c.from) || now >= Date.parse(c.until)) return 'closed'
  if (c.sessions.length > 0 && !c.sessions.includes(sessionId)) return 'session'
  if (!goods) return 'goods'
  return short ? 'threshold' : null
}

/** What a coupon takes off goods of this sum; a fen of the goods always stays. */
function offOf(c: Coupon, sum: number): number {
  const off = c.percent > 0 ? Math.floor((sum * c.percent) / 100) : c.off_fen
  return Math.max(0, Math.min(c.cap_fen > 0 ? Math.min(off, c.cap_fen) : off, sum - 1))
}

/** The codes to propose: of each kind one, those that take off most. */
export function bestOf(fits: Fit[], refused: ReadonlySet<string> = new Set()): string[] {
  const kinds = new Set<number>()
  return [...fits]
    .filter((f) => f.off_fen > 0 && !refused.has(f.held.code))
    .sort((a, b) => b.off_fen - a.off_fen || Date.parse(a.held.coupon.until) - Date.parse(b.held.coupon.until))
    .filter((f) => !kinds.has(f.held.coupon.id) && kinds.add(f.held.coupon.id))
    .slice(0, mostCoupons)
    .map((f) => f.held.code)
}

/** The most points that can pay: all goods after coupons, but a fen of money stays. */
export const mostPoints = (balance: number, goodsFen: number, couponFen: number, shippingFen: number): number =>
  Math.max(0, Math.min(balance, goodsFen - couponFen - (shippingFen > 0 ? 0 : 1)))
