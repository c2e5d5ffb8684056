import type { Good } from '@/shop/shelf'

/** The product after this one; the first when none is explained, null at the end of the shelf. */
export function nextOf(goods: readonly Good[], current: number | null): Good | null {
  return goods[goods.findIndex((g) => g.product_id === current) + 1] ?? null
}
