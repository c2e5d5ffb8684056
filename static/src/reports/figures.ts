// The figures of a report as people read them: which are shown first, how each is written, and how it compares with the
// usual evening. A rate without a denominator is no figure, and says so.
import { count } from '@/i18n/format'
import { money } from '@/ui/money'

export type Unit = 'money' | 'count' | 'average' | 'rate' | 'seconds' | 'minutes'

/** The eight that stand on top, in order. */
export const headline = [
  'gmv_paid_fen',
  'net_sales_fen',
  'orders_paid',
  'aov_fen',
  'acu',
  'uv',
  'watch_seconds_avg',
  'interaction_rate',
] as const

/** All the others, in the order of the trade: money, orders, people, rates. */
export const others = [
  'gmv_placed_fen',
  'refunded_fen',
  'refund_pending_fen',
  'within_7_days_paid_fen',
  'within_7_days_orders',
  'orders_placed',
  'lines_paid',
  'units_paid',
  'buyers',
  'pcu',
  'pv',
  'watch_seconds_total',
  'on_air_minutes',
  'interrupted_minutes',
  'gpm_fen',
  'uv_value_fen',
  'payment_rate',
  'refund_rate',
  'refund_amount_rate',
  'sell_through',
  'stock_out_minutes',
] as const

export type Metric = (typeof headline)[number] | (typeof others)[number]

const units: Partial<Record<Metric, Unit>> = {
  acu: 'average',
  watch_seconds_avg: 'seconds',
  watch_seconds_total: 'seconds',
  on_air_minutes: 'minutes',
  interrupted_minutes: 'minutes',
  stock_out_minutes: 'minutes',
  interaction_rate: 'rate',
  payment_rate: 'rate',
  refund_rate: 'rate',
  refund_amount_rate: 'rate',
  sell_through: 'rate',
}

export const unitOf = (m: Metric): Unit => units[m] ?? (m.endsWith('_fen') ? 'money' : 'count')

/** A rate as 12.3%; an empty denominator as a dash. */
export const percent = (rate: number | null | undefined): string => (typeof rate !== 'number' ? '—' : `${(rate * 100).toFixed(1)}%`)

/** Seconds in minutes and seconds: 7:05, or 1:02:05. */
export function clock(seconds: number): string {
  const s = Math.round(seconds)
  const [h, m, r] = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60]
  const two = (n: number) => String(n).padStart(2, '0')
  return h ? `${h}:${two(m)}:${two(r)}` : `${m}:${two(r)}`
}

/** A figure as text; null is a dash. */
export function write(m: Metric, value: number | null | undefined): string {
  if (typeof value !== 'number') return '—'
  switch (unitOf(m)) {
    case 'money':
      return money(Math.round(value))
    case 'rate':
      return percent(value)
    case 'seconds':
      return clock(value)
    case 'average':
    case 'minutes':
      return count(Math.round(value * 10) / 10)
    default:
      return count(Math.round(value))
  }
}

/** How many times the usual this is, to one decimal; null when there is no usual. */
export function times(value: number | null | undefined, usual: number | null | undefined): number | null {
  return typeof value !== 'number' || typeof usual !== 'number' || usual <= 0 ? null : Math.round((value / usual) * 10) / 10
}

/** Yuan for reading aloud: 150000 for round ones, 150000.5 otherwise. */
export const yuanAloud = (fen: number): string => count(fen / 100)

/** Hours and minutes between two moments. */
export function span(from: string, to: string): { hours: number; minutes: number } {
  const minutes = Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 60_000))
  return { hours: Math.floor(minutes / 60), minutes: minutes % 60 }
}
