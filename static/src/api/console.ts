// What the assistant's console asks beside moderation; what it hears stands in types.ts. Money is an integer number of fen, times are
// RFC 3339 in UTC.

export interface FlashSale {
  id: number
  session_id: number
  sku_id: number
  product_id: number
  price_fen: number
  struck_price_fen: number | null
  stock: number // units in all
  left: number
  per_person: number // 0: no limit
  state: 'announced' | 'running' | 'over'
  starts_at: string
  ends_at: string
  stopped_at: string | null
  server_time: string
}
