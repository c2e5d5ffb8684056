import { expect, it } from 'vitest'
import type { Good } from '@/shop/shelf'
import { nextOf } from './shelf'

it('knows which product comes next', () => {
  const goods = [{ product_id: 1 }, { product_id: 2 }] as Good[]
  expect(nextOf(goods, 1)?.product_id).toBe(2)
  expect(nextOf(goods, 2)).toBeNull()
  expect(nextOf(goods, null)?.product_id).toBe(1)
  expect(nextOf([], 1)).toBeNull()
})
