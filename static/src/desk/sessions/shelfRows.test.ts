import { describe, expect, it } from 'vitest'
import { bodyOf, faultOf, moved, rowsOf, type ShelfRow } from './shelfRows'

const row = (r: Partial<ShelfRow> = {}): ShelfRow => ({
  sku_id: 1,
  product_id: 1,
  title: '围巾',
  sku_name: '红',
  list_price_fen: 39900,
  available: 5,
  price: '',
  stock: '',
  ...r,
})

describe('bodyOf', () => {
  it('sends only what was typed', () => {
    expect(bodyOf([row(), row({ sku_id: 2, price: '99.5', stock: '10' })])).toEqual([
      { sku_id: 1 },
      { sku_id: 2, price_fen: 9950, stock: 10 },
    ])
  })
  it.each([[{ price: '0' }], [{ price: 'abc' }], [{ price: '1.234' }], [{ stock: '-1' }], [{ stock: '1.5' }]])('refuses %o', (bad) => {
    expect(bodyOf([row(bad)])).toBeNull()
    expect(faultOf(row(bad))).toBe(Object.keys(bad)[0])
  })
})

describe('rowsOf', () => {
  it('shows a price only where it differs, a limit only where there is one', () => {
    const base = { product_id: 1, title: 't', sku_name: 's', list_price_fen: 10000, stock: 3, picture_url: '' }
    const got = rowsOf([
      { ...base, sku_id: 2, price_fen: 9950, session_stock: 7, position: 2 },
      { ...base, sku_id: 1, price_fen: 10000, session_stock: null, position: 1 },
    ])
    expect(got.map((r) => [r.sku_id, r.price, r.stock])).toEqual([
      [1, '', ''],
      [2, '99.50', '7'],
    ])
  })
})

describe('moved', () => {
  it('moves one and leaves the rest in order', () => {
    expect(moved(['a', 'b', 'c', 'd'], 0, 2)).toEqual(['b', 'c', 'a', 'd'])
    expect(moved(['a', 'b', 'c'], 2, 0)).toEqual(['c', 'a', 'b'])
    expect(moved(['a', 'b'], 0, 5)).toEqual(['a', 'b'])
    expect(moved([], 0, 0)).toEqual([])
  })
})
