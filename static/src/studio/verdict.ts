// What a check of the line means, in words: whether to go on air, and what to do about what is wrong.
import type { LineCheckResult } from '@/api/types'
import { bitrateText } from './checks'
import { t } from './messages'

type Words = Parameters<typeof t>[0]

const advice: Record<string, Words> = {
  'bitrate-low': 'causeBitrate',
  loss: 'causeLoss',
  rtt: 'causeRtt',
  'no-video': 'causeNoVideo',
  'no-audio': 'causeNoAudio',
}
const verdicts = { good: 'verdictGood', fair: 'verdictFair', poor: 'verdictPoor' } as const

const enough = 2_500_000 // bit/s for the best picture

/**
 * A still room needs few bits: when little was sent, but the browser has found that the line carries much more, the line
 * is not what is lacking.
 */
export function judged(r: LineCheckResult): LineCheckResult {
  if ((r.available ?? 0) < enough) return r
  const causes = r.causes.filter((c) => c !== 'bitrate-low')
  return { ...r, bitrate: r.available!, causes, verdict: causes.length === 0 ? 'good' : r.verdict }
}

export const verdictOf = (r: LineCheckResult): string => t(verdicts[r.verdict] ?? 'verdictFair')

/** 上行 3.1 Mbit/s，丢包 0.2%，往返 24 毫秒 */
export const measuredOf = (r: LineCheckResult): string =>
  t('measured', { rate: bitrateText(r.bitrate), loss: (r.loss * 100).toFixed(1), rtt: r.rtt_ms === null ? '—' : Math.round(r.rtt_ms) })

/** What to do, one sentence per cause; a cause that is not known here is left to the verdict. */
export const adviceOf = (r: LineCheckResult): string[] => r.causes.flatMap((c) => (advice[c] ? [t(advice[c])] : []))
