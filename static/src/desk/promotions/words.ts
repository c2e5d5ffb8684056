// What coupons take off, in words.
import type { Coupon } from '@/api/desk'
import { money } from '@/ui/money'
import { t } from './messages'
import type { Standing } from './offer'

const kinds = { running: 'good', coming: 'data', over: 'plain', stopped: 'danger' } as const
export const kindOfStanding = (s: Standing) => kinds[s]

export function ruleOf(c: Pick<Coupon, 'percent' | 'off_fen' | 'cap_fen' | 'threshold_fen'>): string {
  const from = money(c.threshold_fen)
  if (c.percent === 0) return c.threshold_fen ? t('offFrom', { from, off: money(c.off_fen) }) : t('off', { off: money(c.off_fen) })
  const share = c.threshold_fen ? t('percentFrom', { from, n: c.percent }) : t('percentOff', { n: c.percent })
  return c.cap_fen ? share + t('capped', { cap: money(c.cap_fen) }) : share
}
