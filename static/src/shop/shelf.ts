// The shelf of a session as a buyer sees it: products with their SKUs, what is explained now first, stock as of now.
import type { ShelfItem } from '@/api/types'

/** What the room last told of SKUs, at the session's terms. */
export type StockNow = ReadonlyMap<number, Pick<ShelfItem, 'price_fen' | 'stock' | 'struck_price_fen' | 'flash'>>

export interface Good {
  product_id: number
  title: string
  picture_url: string
  pinned: boolean
  price_fen: number // the lowest of its SKUs
  struck_fen: number // may stand struck through beside its only price; 0: nothing may
  several: boolean // prices differ: "from"
  stock: number // of all its SKUs together
  skus: ShelfItem[]
}

/** Groups the shelf by product, in shelf order, explained ones first; stock is the newest that is known. */
export function goodsOf(shelf: ShelfItem[], now: StockNow = new Map(), pinned: number[] = []): Good[] {
  const groups = new Map<number, ShelfItem[]>()
  for (const item of [...shelf].sort((a, b) => a.position - b.position)) {
    const fresh = { ...item, ...now.get(item.sku_id) }
    groups.set(item.product_id, [...(groups.get(item.product_id) ?? []), fresh])
  }
  const goods = [...groups.values()].map((skus) => goodOf(skus, pinned))
  return [...goods.filter((g) => g.pinned), ...goods.filter((g) => !g.pinned)]
}

function goodOf(skus: ShelfItem[], pinned: number[]): Good {
  const first = skus[0]!
  const prices = skus.map((s) => s.price_fen)
  return {
    product_id: first.product_id,
    title: first.title,
    picture_url: first.picture_url,
    pinned: pinned.includes(first.product_id),
    price_fen: Math.min(...prices),
    struck_fen: struckOf(skus, prices),
    several: new Set(prices).size > 1,
    stock: skus.reduce((sum, s) => sum + s.stock, 0),
    skus,
  }
}

/** The struck-through price of a product with one price, if all its SKUs have the same. */
function struckOf(skus: ShelfItem[], prices: number[]): number {
  const struck = new Set(skus.map((s) => s.struck_price_fen ?? 0))
  const only = struck.size === 1 && new Set(prices).size === 1 ? [...struck][0]! : 0
  return only > prices[0]! ? only : 0
}

/** The goods whose title or SKU names hold every word of the search. */
export function found(goods: Good[], search: string): Good[] {
  const words = search.trim().toLocaleLowerCase().split(/\s+/).filter(Boolean)
  return goods.filter((g) => {
    const text = [g.title, ...g.skus.map((s) => s.sku_name)].join(' ').toLocaleLowerCase()
    return words.every((w) => text.includes(w))
  })
}
