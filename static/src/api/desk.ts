// What the JSON API says to operators about parcels, requests after the sale, promotions, money and other systems. Times
// are RFC 3339 in UTC, money is an integer number of fen.
import type { OrderAddress, OrderState } from './types'

export interface Carrier {
  code: string
  name_zh: string
  name_en: string
}

export type ParcelState = 'sent' | 'delivered' | 'refused' | 'lost'

export interface Parcel {
  id: number
  order_id: string
  carrier: string // code
  carrier_name: string
  tracking_no: string
  lines: { line: number; quantity: number }[]
  state: ParcelState
  source: string
  by?: string
  sent_at: string
  delivered_at: string | null
}

export interface DeskLine {
  sku_id: number
  product_id: number
  title: string
  sku_name: string
  fresh: boolean
  price_fen: number
  quantity: number
  called_off: number
  sent: number
  returned: number
  to_send: number
}

export interface DeskOrder {
  id: string
  session_id: number
  state: OrderState
  channel: string
  number?: string
  buyer: string
  total_fen: number
  paid_fen: number
  refunded_fen: number
  address: OrderAddress | null
  items: DeskLine[]
  to_send: number
  parcels: Parcel[]
  created_at: string
  paid_at: string | null
}

/** What became of one parcel of several that were booked together. */
export interface SentOutcome {
  order_id: string
  parcel: Parcel | null
  problem?: string
  field?: string
  detail?: string
}

export interface ImportRow {
  line: number // in the file
  order_id: string
  carrier: string
  tracking_no: string
  item: number | null
  quantity: number | null
  state: 'ready' | 'unchanged' | 'error' | 'done'
  field?: string
  detail?: string
}

export interface ParcelImport {
  id: number
  state: 'preview' | 'confirmed'
  created_at: string
  ready: number
  unchanged: number
  errors: number
  done: number
  rows: ImportRow[]
}

export interface OrderNote {
  at: string
  what: string
  by: string
  who?: string
  why?: string
  ref?: string
}

export type RequestKind = 'refund' | 'return' | 'exchange'
export type RequestState = 'requested' | 'approved' | 'returning' | 'received' | 'settled' | 'rejected' | 'withdrawn' | 'lapsed'

export interface SaleRequest {
  id: string
  order_id: string
  buyer?: string
  kind: RequestKind
  reason: string
  text: string
  lines: { line: number; quantity: number; exchange_sku_id: number | null; good: number; damaged: number }[]
  state: RequestState
  asked_fen: number
  refund_fen: number
  refund_id?: string
  return_to?: string
  carrier?: string
  tracking_no?: string
  appealed: boolean
  pictures: { name: string; url: string; thumb_url: string; width: number; height: number }[]
  created_at: string
  due_at: string | null
  history?: OrderNote[]
}

export interface RefundOption {
  line: number
  sku_id: number
  title: string
  sku_name: string
  fresh: boolean
  refund: number // units for which money may be asked
  return: number
  refund_fen: number
  paid_fen: number
  refunded_fen: number
}

export interface RefundOptions {
  items: SaleRequest[]
  lines: RefundOption[]
  no_reason_until: string | null
  defect_until: string | null
}

export interface Invoice {
  order_id: string
  kind: 'personal' | 'company'
  title: string
  tax_no?: string
  email: string
  state: 'requested' | 'issued' | 'refused' | 'withdrawn'
  number?: string
  amount_fen: number
  why?: string
  requested_at: string
  decided_at: string | null
}

export interface Coupon {
  id: number
  title: string
  percent: number
  off_fen: number
  cap_fen: number
  threshold_fen: number
  products: number[]
  sessions: number[]
  from: string
  until: string
  per_person: number
  stopped: boolean
  claimable: boolean
  quota: number
  issued: number
  budget_fen: number
  spent_fen: number
  budget_left_fen: number | null
}

export interface Gift {
  id: number
  title: string
  sku_id: number
  quantity: number
  threshold_fen: number
  products: number[]
  sessions: number[]
  from: string
  until: string
  quota: number
  given: number
  stopped: boolean
}

export interface ShippingZone {
  provinces?: string[]
  first_g?: number
  first_fen?: number
  next_g?: number
  next_fen?: number
  free_from_fen?: number
  not_delivered?: boolean
}

export interface ShippingTemplate {
  id: number
  name: string
  products?: number[]
  zones: ShippingZone[]
}

export interface Weight {
  sku_id: number
  grams: number
}

export interface PointTotals {
  issued: number
  expired: number
  spent: number
  returned: number
  balances: number
}

export interface LowSku {
  sku_id: number
  product_id: number
  title: string
  sku_name: string
  stock: number
  low_at: number
}

export interface LedgerBreak {
  kind: 'sku' | 'order' | 'payment' | 'entry' | 'provider' | 'session-sku'
  id: string
  sku_id: number | null
  off: number
  text: string
}

export interface LedgerRule {
  id: string
  title: string
  formula: string
  unit: 'fen' | 'units' | 'rows'
  ok: boolean
  broken: LedgerBreak[]
  more: boolean
}

export interface LedgerHealth {
  checked_at: string
  took_ms: number
  ok: boolean
  rules: LedgerRule[]
  stopped_skus: { sku_id: number; product_id: number; name: string }[]
}

export interface LedgerAccounts {
  items: { account: string; balance_fen: number; entries: number }[]
  sum_fen: number
}

export interface LedgerBook {
  sku_id: number
  stopped: boolean
  ok: boolean
  initial: number
  restocked: number
  written_off: number
  free: number
  reserved: number
  sold: number
  moved_free: number
  moved_reserved: number
  moved_sold: number
  ordered_reserved: number
  ordered_sold: number
}

export interface LedgerEntry {
  ref: string
  account: string
  amount_fen: number
  at: string
}

interface Sums {
  payments: number
  payments_fen: number
  refunds: number
  refunds_fen: number
}

export interface Reconciliation {
  id: number
  provider: string
  day: string
  state: 'waiting' | 'failed' | 'done'
  problem?: string
  ours: Sums
  theirs: Sums
  open: number
  total: number
  done_at: string | null
  checked_at: string | null
}

export type DifferenceKind = 'missing_here' | 'missing_there' | 'amount_differs' | 'state_differs' | 'refund_differs'

export interface Difference {
  id: number
  kind: DifferenceKind
  what?: string
  payment_id: string
  provider_no: string
  refund_id?: string
  order_id?: string
  ours_fen: number
  theirs_fen: number
  ours_state: string
  theirs_state: string
  found_at: string
  cleared_at: string | null
  resolved_by?: string
  resolved_at: string | null
  note?: string
}

export interface Suspect {
  id: number
  provider: string
  provider_no: string
  payment_id: string
  order_id: string
  amount_fen: number
  currency: string
  why: string
  paid_at: string | null
  at: string
  state: 'open' | 'refunded' | 'dismissed'
  resolved_by?: string
  resolved_at: string | null
  note?: string
}

export interface FailedRefund {
  id: string
  order_id: string
  amount_fen: number
  reason: string
  automatic: boolean
  requested_at: string
  provider: string
  code: string
  problem: string
}

export interface Endpoint {
  id: number
  url: string
  events: string[]
  note: string
  state: 'active' | 'paused'
  why?: string
  secret?: string // only in the answer that made it
  next_at: string | null
  queued: number
  dead: number
  created_at: string
}

export interface Delivery {
  id: number
  event_id: string
  type: string
  body: string
  state: 'queued' | 'delivered' | 'dead'
  tries: number
  last_status: number // 0: no answer
  last_error?: string
  last_at: string | null
  created_at: string
  delivered_at: string | null
}

/** Why an order costs what it costs: total = goods - coupons - points + shipping. */
export interface Breakdown {
  goods_fen: number
  coupon_fen: number
  points: number
  points_fen: number
  shipping_fen: number
  total_fen: number
  coupons: { code: string; title: string; off_fen: number }[]
}
