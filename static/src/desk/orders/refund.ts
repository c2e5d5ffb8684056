// How much of an order may still go back, as a plain value.
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
