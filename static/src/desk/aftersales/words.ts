// What requests after the sale are called.
import type { RequestKind, RequestState } from '@/api/desk'
import { t } from './messages'

type Words = Parameters<typeof t>[0]
const kinds: Record<RequestKind, Words> = { refund: 'kindRefund', return: 'kindReturn', exchange: 'kindExchange' }
const states: Record<RequestState, Words> = {
  requested: 'stateRequested',
  approved: 'stateApproved',
  returning: 'stateReturning',
  received: 'stateReceived',
  settled: 'stateSettled',
  rejected: 'stateRejected',
  withdrawn: 'stateWithdrawn',
  lapsed: 'stateLapsed',
}
const badges = {
  requested: 'warn',
  approved: 'data',
  returning: 'data',
  received: 'warn',
  settled: 'good',
  rejected: 'danger',
  withdrawn: 'plain',
  lapsed: 'plain',
} as const
const reasons: Record<string, Words> = {
  'no-reason': 'reasonNo',
  quality: 'reasonQuality',
  damaged: 'reasonDamaged',
  wrong: 'reasonWrong',
  missing: 'reasonMissing',
  late: 'reasonLate',
  other: 'reasonOther',
}

export const requestStates = Object.keys(states) as RequestState[]
export const kindName = (kind: RequestKind): string => t(kinds[kind])
export const stateWord = (state: RequestState): string => t(states[state])
export const stateKind = (state: RequestState) => badges[state]
export const reasonName = (reason: string): string => (reasons[reason] ? t(reasons[reason]) : reason)
