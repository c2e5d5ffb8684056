// Coupons, gifts and shipping while they are written, and what they do to a price. Plain values.
import type { Coupon, ShippingZone } from '@/api/desk'
import { parseYuan } from '@/ui/money'

type Rule = Pick<Coupon, 'percent' | 'off_fen' | 'cap_fen' | 'threshold_fen'>

/** What a coupon takes off goods of that worth: nothing below its threshold, never more than the goods. */
export function offOf(c: Rule, goods: number): number {
  if (goods < c.threshold_fen) return 0
  const off = c.percent > 0 ? Math.floor((goods * c.percent) / 100) : c.off_fen
  return Math.min(goods, c.percent > 0 && c.cap_fen > 0 ? Math.min(off, c.cap_fen) : off)
}

/** Purchases that show a rule: just below its threshold, at it, and well above. */
export function examples(c: Rule): number[] {
  const at = Math.max(c.threshold_fen, c.percent > 0 ? 10_000 : c.off_fen)
  return [...new Set([...(c.threshold_fen > 100 ? [c.threshold_fen - 100] : []), at, at * 3])]
}

/** The most that a coupon can take off in all; null when there is no bound. */
export function mostOff(c: Rule & Pick<Coupon, 'quota' | 'budget_fen'>): number | null {
  const each = c.percent > 0 ? c.cap_fen : c.off_fen
  const byNumber = c.quota > 0 && each > 0 ? c.quota * each : Infinity
  const most = Math.min(byNumber, c.budget_fen > 0 ? c.budget_fen : Infinity)
  return most === Infinity ? null : most
}

/** What so many grams cost in a zone, goods of that worth; null where nothing is delivered. */
export function shippingOf(z: ShippingZone, grams: number, goods = 0): number | null {
  if (z.not_delivered) return null
  if (z.free_from_fen && goods >= z.free_from_fen) return 0
  const over = Math.max(0, grams - (z.first_g ?? 0))
  const steps = z.next_g && z.next_fen ? Math.ceil(over / z.next_g) : 0
  return (z.first_fen ?? 0) + steps * (z.next_fen ?? 0)
}

export type Standing = 'running' | 'coming' | 'over' | 'stopped'

export function standing(o: { from: string; until: string; stopped: boolean }, now = Date.now()): Standing {
  if (o.stopped) return 'stopped'
  if (Date.parse(o.until) <= now) return 'over'
  return Date.parse(o.from) > now ? 'coming' : 'running'
}

/** Numbers in a text with commas or blanks. */
export const numbers = (text: string): number[] => [
  ...new Set(
    text
      .split(/[\s,，、]+/)
      .map(Number)
      .filter((n) => Number.isInteger(n) && n > 0),
  ),
]

/** An optional number or amount: 0 when empty, null when it is none. */
export const whole = (text: string): number | null => (text.trim() === '' ? 0 : /^\d{1,9}$/.test(text.trim()) ? Number(text.trim()) : null)
export const yuan = (text: string): number | null => (text.trim() === '' ? 0 : parseYuan(text))
