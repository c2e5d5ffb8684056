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
  'the refund has failed': 'stepRefundFailed',
  'sent in part': 'stepSentPart',
  'refund requested by buyer': 'stepAskRefund',
  'return requested': 'stepAskReturn',
  'exchange requested': 'stepAskExchange',
  'request approved': 'stepAgreed',
  'request rejected': 'stepRejected',
  appealed: 'stepAppealed',
  'request withdrawn': 'stepWithdrawn',
  'request lapsed': 'stepLapsed',
  'goods sent back': 'stepSentBack',
  'goods received': 'stepReceived',
  'request settled without money': 'stepSettledNo',
  'request refunded': 'stepRefundedAsk',
  'goods exchanged': 'stepExchanged',
  'invoice requested': 'stepInvoice',
  'invoice withdrawn': 'stepInvoiceBack',
  'invoice issued': 'stepInvoiced',
  'invoice refused': 'stepInvoiceNo',
  'parcel corrected': 'stepParcel',
  delivered: 'stepDelivered',
  'parcel delivered': 'stepDelivered',
}

/** A step in our words; one we do not know yet in the server's. */
export function stepOf(what: string, by = ''): string {
  if (what.startsWith('a payment goes back')) return t('stepPaymentLate')
  const word = steps[by === 'buyer' ? `${what} by buyer` : what] ?? steps[what]
  return word ? t(word) : what
}

/** What else a buyer wants to know of a step: the shop's words, or the parcel's number. A reason's code is no such word. */
export const noteOf = (n: { what: string; by: string; why?: string; ref?: string }): string =>
  n.by === 'operator' ? [n.why, /^(sent in part|shipped|parcel)/.test(n.what) ? n.ref : ''].filter(Boolean).join(' · ') : ''

/** Why it was cancelled, if it was. */
export function whyCancelled(o: Order): string {
  if (o.state !== 'cancelled') return ''
  return { expired: t('byExpired'), buyer: t('byBuyer'), operator: t('byOperator') }[o.reason ?? ''] ?? ''
}

/** How many pieces. */
export const unitsOf = (o: Order): number => o.items.reduce((n, i) => n + i.quantity, 0)
