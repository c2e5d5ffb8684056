import { describe, expect, it } from 'vitest'
import type { Pin, Session } from '@/api/types'
import { fromLocal, nextHour, toLocal } from './localTime'
import { refundable, refundAmount } from './orders/refund'
import { changeBody, emptyProduct, faultOf, newBody, words } from './products/productForm'
import { bodyOf, emptyForm, missing } from './sessions/sessionForm'
import { momentsOf } from './sessions/timeline'

describe('local time', () => {
  it('survives there and back', () => {
    const at = '2022-07-08T11:00:00.000Z'
    expect(fromLocal(toLocal(at))).toBe(at)
  })
  it('knows no time when it sees none', () => {
    expect([fromLocal(''), fromLocal('soon')]).toEqual([null, null])
    expect([toLocal(null), toLocal('soon')]).toEqual(['', ''])
  })
  it('proposes the next full hour', () => expect(nextHour(new Date(2026, 0, 1, 23, 40))).toBe('2026-01-02T00:00'))
})

describe('a session', () => {
  it('says what is missing, in order', () => {
    const f = emptyForm()
    expect(missing(f)).toBe('title')
    expect(missing({ ...f, title: 'x', starts_at: '' })).toBe('starts_at')
    expect(missing({ ...f, title: 'x' })).toBe('anchors')
    expect(missing({ ...f, title: 'x', anchors: ['a', 'b', 'c', 'd', 'e', 'f'] })).toBe('anchors')
    const whole = { ...f, title: ' x ', anchors: ['a'] }
    expect(missing(whole)).toBeNull()
    expect(bodyOf(whole)).toMatchObject({ title: 'x', anchors: ['a'] })
  })
  it('is told as one line of time', () => {
    const session = {
      starts_at: '2026-01-01T11:00:00Z',
      live_at: '2026-01-01T11:02:00Z',
      ended_at: '2026-01-01T13:00:00Z',
      interruptions: [{ from: '2026-01-01T12:00:00Z', to: '2026-01-01T12:01:00Z' }],
    } as Session
    const pins = [{ from: '2026-01-01T11:05:00Z', to: null, product: { title: '围巾' }, anchors: ['a'] }] as unknown as Pin[]
    expect(momentsOf(session, pins).map((m) => m.kind)).toEqual(['planned', 'live', 'pin', 'interrupted', 'ended'])
  })
})

describe('a product', () => {
  const good = { ...emptyProduct(), title: '围巾', skus: [{ name: '红', price: '399', stock: '5' }] }
  it('says what is wrong first', () => {
    expect(faultOf(emptyProduct())).toBe('title')
    expect(faultOf({ ...good, skus: [] })).toBe('skus')
    expect(faultOf({ ...good, skus: [{ name: '', price: '1', stock: '' }] })).toBe('skuName')
    expect(faultOf({ ...good, skus: [{ name: 'a', price: '0', stock: '' }] })).toBe('skuPrice')
    expect(faultOf({ ...good, skus: [{ name: 'a', price: '1', stock: 'x' }] })).toBe('skuStock')
    expect(faultOf(good)).toBeNull()
  })
  it('gives stock when new, never when changed', () => {
    expect(newBody(good, true)).toMatchObject({ draft: true, skus: [{ name: '红', price_fen: 39900, stock: 5 }] })
    expect(changeBody({ ...good, skus: [{ id: 4, name: '红', price: '1', stock: '' }, ...good.skus] }).skus).toEqual([
      { id: 4, name: '红', price_fen: 100 },
      { name: '红', price_fen: 39900 },
    ])
  })
  it('reads banned words as people type them', () => expect(words('最好,第一、最好\n 国家级 ')).toEqual(['最好', '第一', '国家级']))
})

describe('a refund', () => {
  const order = { state: 'paid' as const, total_fen: 10000, paid_fen: 10000, paid_at: '2026-01-01T00:00:00Z', refunded_fen: 2500 }
  it('is at most what was paid and has not gone back', () => {
    expect(refundable(order)).toBe(7500)
    expect(refundable({ ...order, paid_at: null })).toBe(0)
    expect(refundable({ ...order, state: 'refunded' })).toBe(0)
  })
  it('is everything when nothing is typed, and never more', () => {
    expect(refundAmount('', 7500)).toBe(7500)
    expect(refundAmount('12.5', 7500)).toBe(1250)
    expect([refundAmount('76', 7500), refundAmount('0', 7500), refundAmount('x', 7500)]).toEqual([null, null, null])
  })
})
