// What the API says of prices, coupons, points, payment, parcels, requests after the sale and invoices; the rest is in
// types.ts. Money is an integer number of fen, one consumption point is one fen.
import type { Order, OrderAddress, OrderItem } from './types'

/** total = goods - coupons - points + shipping. */
export interface Breakdown {
  goods_fen: number
  coupon_fen: number
  points: number
  points_fen: number
  shipping_fen: number
  total_fen: number
  coupons: { code: string; title: string; off_fen: number }[]
  lines: {
    sku_id: number
    goods_fen: number
    coupon_fen: number
    points_fen: number
    paid_fen: number
    flash_sale_id: number | null
    gift: boolean
  }[]
}

export interface CartAsk {
  session_id: number
  items: OrderItem[]
  coupons?: string[] // codes of the buyer's, at most three
  points?: number
  address?: OrderAddress
}

export interface QuotedLine {
  sku_id: number
  quantity: number
  price_fen: number
  title: string
  sku_name: string
  fresh: boolean
  gift: boolean
}

export interface Quoted {
  total_fen: number
  items: QuotedLine[] // gifts stand last
  breakdown: Breakdown
  server_time: string
}

export interface Coupon {
  id: number
  title: string
  percent: number // off; 0 when off_fen counts
  off_fen: number
  cap_fen: number // of a percentage; 0: none
  threshold_fen: number
  products: number[] // empty: all
  sessions: number[] // empty: all
  from: string
  until: string
  per_person: number
  stopped: boolean
}

export interface HeldCoupon {
  code: string
  state: 'open' | 'spent' | 'expired' | 'stopped'
  order_id?: string
  given_at: string
  coupon: Coupon
}

export interface OfferedCoupon extends Coupon {
  left: number | null // null: no bound
  mine: number
}

export interface Points {
  balance: number
  lots: { id: number; points: number; left: number; source: string; issued_at: string; expires_at: string }[]
}

export interface PointsEntry {
  id: number
  lot_id: number
  kind: 'issued' | 'spent' | 'returned' | 'expired'
  points: number // above zero whatever the kind
  ref: string
  at: string
}

export type PayAction = 'redirect' | 'qr' | 'jsapi'

export interface PayMethod {
  provider: 'wechat' | 'alipay' | 'sandbox'
  kinds: { kind: string; action: PayAction; fits: boolean; best: boolean }[]
}

export interface StartedPayment {
  id: string
  order_id: string
  provider: string
  state: 'pending' | 'settled' | 'returned'
  amount_fen: number
  at: string
  start: { action: PayAction; url?: string; qr?: string; jsapi?: Record<string, string> } | null
}

export interface Parcel {
  id: number
  order_id: string
  carrier: string
  carrier_name: string
  tracking_no: string
  lines: { line: number; quantity: number }[]
  state: 'sent' | 'delivered' | 'refused' | 'lost'
  sent_at: string
  delivered_at: string | null
}

export interface Note {
  at: string
  what: string
  by: string
  why?: string
  ref?: string
}

export type AftersaleKind = 'refund' | 'return' | 'exchange'
export const aftersaleReasons = ['no-reason', 'quality', 'damaged', 'wrong', 'missing', 'late', 'other'] as const
export type AftersaleReason = (typeof aftersaleReasons)[number]
export type AftersaleState = 'requested' | 'approved' | 'returning' | 'received' | 'settled' | 'rejected' | 'withdrawn' | 'lapsed'

export interface Aftersale {
  id: string
  order_id: string
  kind: AftersaleKind
  reason: AftersaleReason
  text: string
  lines: { line: number; quantity: number; exchange_sku_id: number | null }[]
  state: AftersaleState
  asked_fen: number
  refund_fen: number
  return_to?: string
  carrier?: string
  tracking_no?: string
  appealed: boolean
  pictures: { name: string; url: string; thumb_url: string; width: number; height: number }[]
  created_at: string
  due_at: string | null // goods not sent back by then: the request lapses
  history?: Note[]
}

export interface AftersaleAsk {
  kind: AftersaleKind
  reason: AftersaleReason
  text?: string
  lines: { line: number; quantity: number; exchange_sku_id?: number }[]
}

/** What may be asked of one line of an order. */
export interface AftersaleLine {
  line: number
  sku_id: number
  title: string
  sku_name: string
  fresh: boolean
  refund: number // units
  return: number // units
  refund_fen: number // what the units under refund are worth
  paid_fen: number
  refunded_fen: number
}

export interface AftersaleOptions {
  items: Aftersale[]
  lines: AftersaleLine[]
  no_reason_until: string | null
  defect_until: string | null
}

export interface InvoiceAsk {
  kind: 'personal' | 'company'
  title: string
  tax_no?: string
  email: string
  address?: string
  phone?: string
  bank?: string
  account?: string
}

export interface Invoice extends InvoiceAsk {
  order_id: string
  state: 'requested' | 'issued' | 'refused' | 'withdrawn'
  number?: string
  amount_fen: number
  why?: string
}

/** An order as it comes now: with why it costs what it costs. */
export type PricedOrder = Order & { breakdown?: Breakdown }
