import { describe, expect, it } from 'vitest'
import type { Report } from '@/api/types'
import { bandsOf, pinLabel } from './chart'
import { clock, percent, span, times, write } from './figures'

describe('write', () => {
  it.each([
    ['gmv_paid_fen', 15_000_000, '¥150,000'],
    ['orders_paid', 1234, '1,234'],
    ['acu', 207.64, '207.6'],
    ['interaction_rate', 0.1234, '12.3%'],
    ['watch_seconds_avg', 425.4, '7:05'],
    ['watch_seconds_total', 3725, '1:02:05'],
    ['payment_rate', null, '—'],
    ['uv', undefined, '—'],
    ['uv', 0, '0'],
  ] as const)('%s of %s is %s', (metric, value, want) => expect(write(metric, value)).toBe(want))
})

describe('comparison', () => {
  it('is none without a usual evening', () => {
    expect(times(100, null)).toBeNull()
    expect(times(100, 0)).toBeNull()
    expect(times(null, 5)).toBeNull()
  })
  it('is to one decimal', () => expect(times(15_000_000, 1_000_000)).toBe(15))
})

describe('time', () => {
  it('spans hours and minutes', () => expect(span('2022-07-08T11:00:00Z', '2022-07-08T13:11:00Z')).toEqual({ hours: 2, minutes: 11 }))
  it('rounds seconds without sixty', () => expect(clock(59.6)).toBe('1:00'))
  it('shows a rate without denominator as a dash', () => expect([percent(null), percent(0)]).toEqual(['—', '0.0%']))
})

describe('bands', () => {
  const events: Report['events'] = [
    { at: '2022-07-08T11:00:00Z', to: '2022-07-08T11:10:00Z', type: 'pin', title: '围巾', anchors: ['a'] },
    { at: '2022-07-08T11:10:00Z', to: null, type: 'pin', title: '锅茶' },
    { at: '2022-07-08T11:05:00Z', to: '2022-07-08T11:06:00Z', type: 'interrupted' },
  ]
  it('ends an open one with the minutes', () => {
    const end = Date.parse('2022-07-08T11:20:00Z')
    const pins = bandsOf(events, 'pin', end, (e) => pinLabel(e, new Map([['a', '王主任']])))
    expect(pins.map((p) => p.label)).toEqual(['围巾 · 王主任', '锅茶'])
    expect(pins[1]!.to).toBe(end)
    expect(bandsOf(events, 'interrupted', end, () => '')).toHaveLength(1)
  })
})
