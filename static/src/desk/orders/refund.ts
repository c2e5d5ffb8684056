// How much of an order may still go back, as a plain value.
import type { RefundOption } from '@/api/desk'
import type { Order } from '@/api/types'
import { parseYuan } from '@/ui/money'

/** What was paid and has not gone back. */
export const refundable = (o: Pick<Order, 'state' | 'total_fen' | 'paid_fen' | 'paid_at' | 'refunded_fen'>): number =>
  o.paid_at === null || o.state === 'cancelled' || o.state === 'refunded' ? 0 : Math.max(0, (o.paid_fen ?? o.total_fen) - o.refunded_fen)

/** The amount that was typed in fen: everything when empty, null when it is not one that may go back. */
export function refundAmount(text: string, most: number): number | null {
  if (text.trim() === '') return most
  const fen = parseYuan(text)
  return fen !== null && fen > 0 && fen <= most ? fen : null
}

/** What n units of a line are worth; all of them exactly what is left, so that no fen stays behind. */
export const worth = (o: Pick<RefundOption, 'refund' | 'refund_fen'>, n: number): number =>
  n >= o.refund ? o.refund_fen : Math.floor((o.refund_fen * Math.max(0, n)) / o.refund)

/** The lines of a refund request: the sum that was shown is the sum that is asked. */
export const refundLines = (options: RefundOption[], units: Record<number, number>) =>
  options
    .filter((o) => (units[o.line] ?? 0) > 0)
    .map((o) => ({ line: o.line, quantity: Math.min(units[o.line]!, o.refund), amount_fen: worth(o, units[o.line]!) }))
