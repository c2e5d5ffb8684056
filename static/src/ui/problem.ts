// What went wrong, in the reader's words: what happened, whether anything was lost, what to do. The stable code of a
// problem decides; a code that is not known here falls back to its status and keeps the server's own sentence.
import { ApiError } from '@/api/client'
import { t } from './messages'

export interface Told {
  title: string
  text: string
  id?: string // reference of the request, for a 5xx
}

const known: Record<string, () => Told> = {
  'sold-out': () => ({ title: t('soldOutTitle'), text: t('soldOutText') }),
  'price-changed': () => ({ title: t('priceTitle'), text: t('priceText') }),
  'total-changed': () => ({ title: t('priceTitle'), text: t('priceText') }),
  'not-selling': () => ({ title: t('closedTitle'), text: t('closedText') }),
  'session-not-open': () => ({ title: t('closedTitle'), text: t('closedText') }),
  'order-expired': () => ({ title: t('expiredTitle'), text: t('expiredText') }),
  'already-paid': () => ({ title: t('paidTitle'), text: t('paidText') }),
  'wrong-state': () => ({ title: t('stateTitle'), text: t('stateText') }),
  busy: () => ({ title: t('busyTitle'), text: t('busyText') }),
  stopping: () => ({ title: t('busyTitle'), text: t('busyText') }),
  closed: () => ({ title: t('closedTitle'), text: t('closedText') }),
  'open-hold': () => ({ title: t('holdTitle'), text: t('holdText') }),
  'bad-sign-in': () => ({ title: t('badSignInTitle'), text: t('badSignInText') }),
  'wrong-sign-in': () => ({ title: t('badSignInTitle'), text: t('badSignInText') }),
  disabled: () => ({ title: t('disabledTitle'), text: t('disabledText') }),
  'too-many-addresses': () => ({ title: t('addressesTitle'), text: t('addressesText') }),
  'anchor-cut': () => ({ title: t('cutTitle'), text: t('cutText') }),
  'anchor-taken': () => ({ title: t('takenTitle'), text: t('takenText') }),
  'taken-over': () => ({ title: t('takenOverTitle'), text: t('takenOverText') }),
  'no-media': () => ({ title: t('noMediaTitle'), text: t('noMediaText') }),
  'coupon-not-usable': () => ({ title: t('couponTitle'), text: t('couponText') }),
  'coupon-threshold': () => ({ title: t('couponTitle'), text: t('couponText') }),
  'promotion-gone': () => ({ title: t('couponTitle'), text: t('couponText') }),
  'coupon-gone': () => ({ title: t('couponGoneTitle'), text: t('couponGoneText') }),
  'coupon-closed': () => ({ title: t('couponGoneTitle'), text: t('couponGoneText') }),
  'coupon-limit': () => ({ title: t('couponLimitTitle'), text: t('couponLimitText') }),
  points: () => ({ title: t('pointsTitle'), text: t('pointsText') }),
  'flash-limit': () => ({ title: t('limitTitle'), text: t('limitText') }),
  'not-delivered': () => ({ title: t('areaTitle'), text: t('areaText') }),
  'postage-differs': () => ({ title: t('postageTitle'), text: t('postageText') }),
  'fresh-food': () => ({ title: t('freshTitle'), text: t('freshText') }),
  'return-period-over': () => ({ title: t('lateTitle'), text: t('lateText') }),
  'too-many-requests': () => ({ title: t('openAsksTitle'), text: t('openAsksText') }),
  'invoice-issued': () => ({ title: t('invoicedTitle'), text: t('invoicedText') }),
  'sign-in': () => ({ title: t('signInTitle'), text: t('signInText') }),
}

/** Tells any error kindly. */
export function explain(error: unknown): Told {
  if (!(error instanceof ApiError)) return { title: t('brokenTitle'), text: t('brokenText') }
  if (error.code === 'offline') return { title: t('offlineTitle'), text: t('offlineText') }
  if (error.code === 'timeout') return { title: t('timeoutTitle'), text: t('timeoutText') }
  return known[error.code]?.() ?? byStatus(error)
}

function byStatus(e: ApiError): Told {
  switch (e.status) {
    case 401:
      return { title: t('signInTitle'), text: t('signInText') }
    case 403:
      return { title: t('forbiddenTitle'), text: t('forbiddenText') }
    case 404:
      return { title: t('notFoundTitle'), text: t('notFoundText') }
    case 409:
      return { title: t('conflictTitle'), text: e.detail || t('conflictText') }
    case 413:
      return { title: t('tooLargeTitle'), text: t('tooLargeText') }
    case 429:
      return { title: t('tooManyTitle'), text: t('tooManyText', { n: Math.max(1, e.retryAfter) }) }
    case 502:
    case 503:
    case 504:
      return { title: t('busyTitle'), text: t('busyText') }
  }
  if (e.status >= 500) return { title: t('brokenTitle'), text: t('brokenText'), id: e.instance }
  return { title: t('invalidTitle'), text: e.detail || t('invalidText') }
}
