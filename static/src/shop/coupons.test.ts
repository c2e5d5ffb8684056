import { describe, expect, it } from 'vitest'
import type { Coupon, HeldCoupon } from '@/api/trade'
import { bestOf, fitOf, mostPoints, type CartLine } from './coupons'

const now = Date.parse('2026-07-08T11:00:00Z')
const lines: CartLine[] = [
  { sku_id: 1, product_id: 10, quantity: 2, price_fen: 5_000 },
  { sku_id: 2, product_id: 20, quantity: 1, price_fen: 333 },
]
const held = (code: string, more: Partial<Coupon> = {}, state: HeldCoupon['state'] = 'open'): HeldCoupon => ({
  code,
  state,
  given_at: '2026-07-08T10:00:00Z',
  coupon: {
    id: 1,
    title: '券',
    percent: 0,
    off_fen: 500,
    cap_fen: 0,
    threshold_fen: 0,
    products: [],
    sessions: [],
    from: '2026-07-01T00:00:00Z',
    until: '2026-08-01T00:00:00Z',
    per_person: 1,
    stopped: false,
    ...more,
  },
})

describe('fitOf', () => {
  it.each([
    ['a fixed amount', {}, 500, null],
    ['a percentage, rounded down', { off_fen: 0, percent: 10 }, 1_033, null],
    ['a cap', { off_fen: 0, percent: 50, cap_fen: 700 }, 700, null],
    ['only some goods', { off_fen: 0, percent: 10, products: [20] }, 33, null],
    ['a fen of the goods stays', { off_fen: 999, products: [20] }, 332, null],
    ['goods that are not in the cart', { products: [30] }, 0, 'goods'],
    ['another session', { sessions: [8] }, 0, 'session'],
    ['its threshold', { threshold_fen: 20_000 }, 0, 'threshold'],
    ['its time', { until: '2026-07-08T11:00:00Z' }, 0, 'closed'],
  ] as const)('%s', (_, more, off, fault) => {
    const fit = fitOf(held('a', more as Partial<Coupon>), lines, 7, now)
    expect([fit.off_fen, fit.fault]).toEqual([off, fault])
  })
  it('says how much is missing', () => {
    expect(fitOf(held('a', { threshold_fen: 20_000 }), lines, 7, now).missing_fen).toBe(20_000 - 10_333)
  })
  it('refuses what is spent', () => expect(fitOf(held('a', {}, 'spent'), lines, 7, now).fault).toBe('closed'))
})

describe('bestOf', () => {
  const fits = [
    fitOf(held('small', { id: 1, off_fen: 100 }), lines, 7, now),
    fitOf(held('large', { id: 2, off_fen: 900 }), lines, 7, now),
    fitOf(held('twin', { id: 2, off_fen: 900, until: '2026-07-09T00:00:00Z' }), lines, 7, now),
    fitOf(held('short', { id: 3, threshold_fen: 99_999 }), lines, 7, now),
  ]
  it('takes one of each kind, the largest first, the one that ends first of equals', () => expect(bestOf(fits)).toEqual(['twin', 'small']))
  it('leaves out what the server refused', () => expect(bestOf(fits, new Set(['twin']))).toEqual(['large', 'small']))
})

describe('mostPoints', () => {
  it.each([
    [100_000, 10_000, 500, 0, 9_499], // a fen of money stays
    [100_000, 10_000, 500, 800, 9_500], // shipping is money
    [300, 10_000, 500, 0, 300],
    [300, 1, 0, 0, 0],
  ])('%i of %i', (balance, goods, coupon, shipping, want) => expect(mostPoints(balance, goods, coupon, shipping)).toBe(want))
})
