import { describe, expect, it } from 'vitest'
import type { ShelfItem } from '@/api/types'
import { found, goodsOf } from './shelf'

const item = (product_id: number, sku_id: number, position: number, more: Partial<ShelfItem> = {}): ShelfItem => ({
  product_id,
  sku_id,
  position,
  title: `商品 ${product_id}`,
  sku_name: `规格 ${sku_id}`,
  price_fen: 1000,
  list_price_fen: 1200,
  stock: 5,
  session_stock: null,
  picture_url: '',
  ...more,
})

describe('goodsOf', () => {
  it('groups SKUs by product in shelf order', () => {
    const goods = goodsOf([item(2, 21, 2), item(1, 11, 0), item(2, 22, 1, { price_fen: 900, stock: 0 })])
    expect(goods.map((g) => g.product_id)).toEqual([1, 2])
    expect(goods[1]).toMatchObject({ price_fen: 900, several: true, stock: 5 })
    expect(goods[1]!.skus.map((s) => s.sku_id)).toEqual([22, 21])
  })
  it('puts what is explained first', () => {
    const goods = goodsOf([item(1, 11, 0), item(2, 21, 1), item(3, 31, 2)], new Map(), [3])
    expect(goods.map((g) => [g.product_id, g.pinned])).toEqual([
      [3, true],
      [1, false],
      [2, false],
    ])
  })
  it('takes the newest price and stock the room told', () => {
    const [good] = goodsOf([item(1, 11, 0)], new Map([[11, { price_fen: 800, stock: 0 }]]))
    expect(good).toMatchObject({ price_fen: 800, stock: 0 })
  })
  it('is empty for an empty shelf', () => expect(goodsOf([])).toEqual([]))
})

describe('found', () => {
  const goods = goodsOf([item(1, 11, 0, { title: '羊绒围巾', sku_name: '正红' }), item(2, 21, 1, { title: '沙棘汁 Juice' })])
  it('wants every word, in title or SKU', () => {
    expect(found(goods, '围巾 红').map((g) => g.product_id)).toEqual([1])
    expect(found(goods, 'JUICE').map((g) => g.product_id)).toEqual([2])
    expect(found(goods, '围巾 汁')).toEqual([])
  })
  it('shows all without words', () => expect(found(goods, '  ')).toHaveLength(2))
})
