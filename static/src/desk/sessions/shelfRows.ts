// The shelf while it is edited: what is typed, and what goes to the server.
import type { Product, ShelfItem, Sku } from '@/api/types'
import { parseYuan } from '@/ui/money'

export interface ShelfRow {
  sku_id: number
  product_id: number
  title: string
  sku_name: string
  list_price_fen: number
  available: number
  price: string // yuan as typed; empty for the list price
  stock: string // as typed; empty for no limit of the session's own
}

export interface ShelfBody {
  sku_id: number
  price_fen?: number
  stock?: number
}

export const yuan = (fen: number): string => (fen % 100 === 0 ? String(fen / 100) : (fen / 100).toFixed(2))

export function rowOf(product: Pick<Product, 'id' | 'title'>, sku: Sku): ShelfRow {
  return {
    sku_id: sku.id,
    product_id: product.id,
    title: product.title,
    sku_name: sku.name,
    list_price_fen: sku.price_fen,
    available: sku.stock,
    price: '',
    stock: '',
  }
}

export function rowsOf(shelf: readonly ShelfItem[]): ShelfRow[] {
  return [...shelf]
    .sort((a, b) => a.position - b.position)
    .map((i) => ({
      sku_id: i.sku_id,
      product_id: i.product_id,
      title: i.title,
      sku_name: i.sku_name,
      list_price_fen: i.list_price_fen,
      available: i.stock,
      price: i.price_fen === i.list_price_fen ? '' : yuan(i.price_fen),
      stock: i.session_stock !== null && i.session_stock >= 0 ? String(i.session_stock) : '',
    }))
}

/** What is wrong with a row: its price, its stock, or nothing. */
export function faultOf(row: ShelfRow): 'price' | 'stock' | null {
  if (row.price.trim() !== '') {
    const fen = parseYuan(row.price)
    if (fen === null || fen <= 0) return 'price'
  }
  return row.stock.trim() === '' || /^\d{1,7}$/.test(row.stock.trim()) ? null : 'stock'
}

/** The body of PUT /sessions/{id}/shelf; null while a row is faulty. */
export function bodyOf(rows: readonly ShelfRow[]): ShelfBody[] | null {
  if (rows.some(faultOf)) return null
  return rows.map((r) => {
    const body: ShelfBody = { sku_id: r.sku_id }
    if (r.price.trim() !== '') body.price_fen = parseYuan(r.price)!
    if (r.stock.trim() !== '') body.stock = Number(r.stock)
    return body
  })
}

/** The list with one element moved; the same list when that is nowhere. */
export function moved<T>(list: readonly T[], from: number, to: number): T[] {
  const out = [...list]
  if (from === to || from < 0 || to < 0 || from >= out.length || to >= out.length) return out
  out.splice(to, 0, ...out.splice(from, 1))
  return out
}
