import { expect, it } from 'vitest'
import type { LineCheckResult } from '@/api/types'
import { adviceOf, judged, measuredOf, verdictOf } from './verdict'

const result: LineCheckResult = { seconds: 6, bitrate: 3_080_000, loss: 0.002, jitter_ms: 3, rtt_ms: 24.4, verdict: 'good', causes: [] }

it('says what was measured in one line', () => expect(measuredOf(result)).toBe('上行 3.1 Mbit/s，丢包 0.2%，往返 24 毫秒'))
it.each([
  ['good', '可以开播'],
  ['fair', '勉强可以'],
  ['poor', '不建议开播'],
] as const)('%s is said plainly', (verdict, words) => expect(verdictOf({ ...result, verdict })).toContain(words))
it('does not blame the line for a picture that needs little', () => {
  const still: LineCheckResult = { ...result, bitrate: 800_000, verdict: 'fair', causes: ['bitrate-low'] }
  expect(judged({ ...still, available: 3_200_000 })).toMatchObject({ verdict: 'good', bitrate: 3_200_000, causes: [] })
  expect(judged({ ...still, available: 1_000_000 })).toMatchObject({ verdict: 'fair', bitrate: 800_000 })
  expect(judged({ ...still, causes: ['bitrate-low', 'loss'], available: 3_200_000 })).toMatchObject({ verdict: 'fair', causes: ['loss'] })
})
it('says what to do about each cause it knows', () => {
  expect(adviceOf({ ...result, causes: ['loss', 'bitrate-low', 'new-one'] })).toHaveLength(2)
  expect(adviceOf(result)).toEqual([])
})
