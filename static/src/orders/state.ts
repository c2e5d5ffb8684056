// What an order's state is called and how it looks; what a step of its history is called.
import type { Order, OrderState } from '@/api/types'
import { t } from './messages'

export const states: OrderState[] = ['pending', 'paid', 'shipped', 'completed', 'cancelled', 'refunded']

export const badgeOf: Record<OrderState, 'plain' | 'good' | 'warn' | 'data'> = {
  pending: 'warn',
  paid: 'data',
  shipped: 'data',
  completed: 'good',
  cancelled: 'plain',
  refunded: 'plain',
}

type Words = Parameters<typeof t>[0]

const steps: Record<string, Words> = {
  placed: 'stepPlaced',
  address: 'stepAddress',
  paid: 'stepPaid',
  shipped: 'stepShipped',
  completed: 'stepCompleted',
  cancelled: 'stepCancelled',
  expired: 'stepExpired',
  'refund requested': 'stepRefundRequested',
  'refunded in part': 'stepRefundedPart',
  refunded: 'stepRefunded',
  'the payment is back': 'stepPaymentBack',
  'a payment came too late or twice and goes back': 'stepPaymentLate',
}

/** A step in our words; one we do not know yet in the server's. */
export const stepOf = (what: string): string => (steps[what] ? t(steps[what]) : what)

/** Why it was cancelled, if it was. */
export function whyCancelled(o: Order): string {
  if (o.state !== 'cancelled') return ''
  return { expired: t('byExpired'), buyer: t('byBuyer'), operator: t('byOperator') }[o.reason ?? ''] ?? ''
}

/** How many pieces. */
export const unitsOf = (o: Order): number => o.items.reduce((n, i) => n + i.quantity, 0)
