// What a step of an order's story is called at the desk; the buyer's pages have their own words for the common ones.
import { stepOf } from '@/orders/state'
import { t as say } from '../messages'
import { t } from './messages'

const steps: Record<string, Parameters<typeof t>[0]> = {
  'sent in part': 'stepSentInPart',
  'the refund has failed': 'stepRefundFailed',
  'refund requested': 'stepRequested',
  'return requested': 'stepRequested',
  'exchange requested': 'stepRequested',
  'request approved': 'stepApproved',
  'request rejected': 'stepRejected',
  'request withdrawn': 'stepWithdrawn',
  'request lapsed': 'stepLapsed',
  'request refunded': 'stepSettled',
  'request settled without money': 'stepSettled',
  'goods exchanged': 'stepSettled',
  'goods sent back': 'stepReturning',
  'goods received': 'stepReceived',
  appealed: 'stepAppealed',
  'parcel delivered': 'stepParcelDelivered',
  'parcel refused': 'stepParcelRefused',
  'parcel lost': 'stepParcelLost',
  'parcel corrected': 'stepParcelCorrected',
  'invoice requested': 'stepInvoiceAsked',
  'invoice issued': 'stepInvoiceIssued',
  'invoice refused': 'stepInvoiceRefused',
}

export function stepName(what: string, by: string): string {
  if (what === 'imported') return say('eventImported')
  if (what === 'refund requested' && by === 'operator') return stepOf(what) // the shop's own refund, not a buyer's wish
  return steps[what] ? t(steps[what]) : stepOf(what)
}
