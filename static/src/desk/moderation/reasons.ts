// Why something is done, in words that the person concerned will read. Offered for a click or a digit; anything else can be typed.
import { t } from './messages'

export const reasons = ['ad', 'abuse', 'flood', 'lure', 'untrue', 'private'] as const
export const reasonText = (r: (typeof reasons)[number]): string => t(`reason_${r}`)
export const reasonLong = 200 // characters, as the server bounds it

/** How long somebody may be kept from speaking or entering, in minutes; 0: without an end. */
export const muteMinutes = [10, 60, 1440, 43_200]
export const banMinutes = [60, 1440, 43_200, 0]

/** 10 → 10 分钟, 1440 → 1 天. */
export function span(minutes: number): string {
  if (minutes === 0) return t('noEnd')
  if (minutes % 1440 === 0) return t('days', { n: minutes / 1440 })
  return minutes % 60 === 0 ? t('hours', { n: minutes / 60 }) : t('minutes', { n: minutes })
}
