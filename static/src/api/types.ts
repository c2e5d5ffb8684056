// What the JSON API says, as written down in the contract and in the OpenAPI description. Times are RFC 3339 in UTC,
// money is an integer number of fen.

export type Role = 'admin' | 'operator' | 'assistant' | 'anchor' | 'buyer'

export interface Page<T> {
  items: T[]
  next: string
}

export interface User {
  id: number
  name: string
  display_name: string
  role: Role
  title: string
  unit: string
  disabled?: boolean
}

export interface Address {
  id: number
  name: string
  phone: string
  province: string
  city: string
  district: string
  detail: string
  is_default: boolean
}

/** What a buyer types for an address. */
export type AddressForm = Omit<Address, 'id'>

/** Where an order goes. */
export type OrderAddress = Omit<AddressForm, 'is_default'>

export type SessionState = 'scheduled' | 'rehearsing' | 'live' | 'interrupted' | 'ended' | 'cancelled'

export interface SessionAnchor {
  name: string
  display_name: string
  title: string
  unit: string
  on_air: boolean
  muted?: boolean // nobody hears them, by an assistant's act
  cut?: boolean // may not be on air until restored
}

export interface ShelfItem {
  product_id: number
  sku_id: number
  title: string
  sku_name: string
  price_fen: number
  list_price_fen: number
  stock: number // what can be bought now
  low?: boolean // little is left, by the SKU's threshold
  session_stock: number | null // the session's own limit, null or negative for none
  picture_url: string
  position: number
  fresh?: boolean // exempt from the 7-day return
  struck_price_fen?: number | null // may stand struck through beside the price, by its rule
  flash?: Flash | null
}

/** A flash sale on a shelf: announced before starts_at, its price is the price from then to ends_at, by the server's clock. */
export interface Flash {
  id: number
  price_fen: number
  stock: number
  left: number
  per_person: number // units, 0: no limit
  starts_at: string
  ends_at: string
}

export interface Pin {
  id: number
  session_id: number
  product_id: number
  anchors: string[]
  anchor: string | null // the holder, when there is only one
  from: string
  to: string | null
  product: Product
}

export interface Session {
  id: number
  title: string
  intro: string
  state: SessionState
  starts_at: string
  live_at: string | null
  ended_at: string | null
  cover_url: string
  viewers: number
  anchors: SessionAnchor[]
  shelf: ShelfItem[]
  pins: Pin[] // active ones
  interrupted_since: string | null
  interruptions: { from: string; to: string | null }[]
  server_time: string
}

export interface Picture {
  id: number
  url: string
  thumb_url: string
  width: number
  height: number
}

export interface Sku {
  id: number
  name: string
  price_fen: number
  stock: number
  on_hand?: number // these three for staff
  reserved?: number
  sold?: number
  stopped?: boolean // its figures do not add up: nothing of it is sold until an operator resumes
}

export interface Product {
  id: number
  title: string
  subtitle: string
  description: string
  category: string
  origin: string
  licence_no: string
  fresh: boolean
  selling_points: string[]
  banned_words: string[]
  state: 'draft' | 'checked' | 'withdrawn'
  checked_by: string | null
  checked_at: string | null
  pictures: Picture[]
  skus: Sku[]
}

export type OrderState = 'pending' | 'paid' | 'shipped' | 'completed' | 'cancelled' | 'refunded'

export interface OrderLine {
  sku_id: number
  quantity: number
  price_fen: number
  product_id: number
  title: string
  sku_name: string
  fresh?: boolean // exempt from the 7-day return
  pin_id: number | null
  anchors: string[] | null
  gift?: boolean // came along with the others
}

export interface Refund {
  id: number
  amount_fen: number
  reason: string
  automatic?: boolean // a payment that came too late or twice goes back; not part of refunded_fen
  state: string
  requested_at: string
  succeeded_at: string | null
}

export interface Payment {
  id: number | string
  provider: string
  state: string
  amount_fen: number
  at: string
}

export interface Order {
  id: string
  state: OrderState
  reason?: string // why it was cancelled: buyer, operator, expired
  session_id: number
  pin_id: number | null
  anchor: string | null
  channel: string
  total_fen: number
  paid_fen?: number
  items: OrderLine[]
  expires_at: string | null
  created_at: string
  paid_at: string | null
  buyer?: string // staff only
  number?: string // the other platform's number
  address: OrderAddress | null
  refunded_fen: number
  refunds: Refund[] | null
  payments: Payment[] | null
  shipment: { carrier: string; tracking_no: string; at: string } | null
  timeline: { at: string; what: string; by: string }[] | null
}

export interface OrderItem {
  sku_id: number
  quantity: number
}

export interface Quote {
  total_fen: number
  items: { sku_id: number; quantity: number; price_fen: number; title: string; sku_name: string; fresh?: boolean }[]
}

export interface AuditEntry {
  id: number
  at: string
  actor: string
  action: string
  subject: string
  detail: unknown
}

export interface StockMovement {
  id: number
  at: string
  kind?: string
  change?: number
  reason?: string
  ref?: string
  [more: string]: unknown
}

export interface PublishToken {
  token: string
  whip_url: string
}

/** One layer of a publisher: a size of the picture, or the sound. */
export interface MediaLayer {
  rid: string // q, h, f, or '' for what comes in one size
  kind: 'video' | 'audio'
  codec: string
  width: number
  height: number
  fps: number
  bitrate: number // bit/s
  packets: number
  lost: number
  plis: number
  viewers: number
  alive: boolean
}

export interface MediaPublisher {
  anchor: string
  codec_video: string
  codec_audio: string
  bitrate: number // bit/s
  packets: number
  lost: number
  plis: number
  since: string
  muted?: boolean
  level_db?: number // 0 is the loudest there is, -127 silence
  speaking?: boolean
  rtt_ms?: number
  layers?: MediaLayer[]
}

export interface MediaStatus {
  publishers: MediaPublisher[]
  viewers: number
  viewers_by_transport: Record<string, number>
  viewers_by_layer?: Record<string, number>
  bitrate_out?: number // bit/s
  loss_out?: number | null // 0..1, null before any report
  rtt_ms_p50?: number | null
  hls_viewers?: number
}

/** How one viewer is reached, as in the list of viewers. */
export interface MediaViewer {
  viewer: string // public short id
  account?: number // id, none for a visitor
  transport: string
  since: string
  bitrate: number // bit/s
  estimate: number // bit/s
  loss: number // 0..1
  rtt_ms: number | null
  layer: string
  quality: 'auto' | 'smooth' | 'clear'
  video: boolean
}

/** One place of a viewer: what of an anchor's picture or sound arrives there. */
export interface MediaSeat {
  layer: string
  wanted?: string // the layer it goes over to at the next key frame
  state: 'idle' | 'waiting' | 'catching' | 'live'
  packets: number
  bytes: number
  lost: number
  resent: number
  switches: number
}

export interface MediaMoment {
  at: string
  estimate: number
  bitrate: number
  loss: number
  rtt_ms: number
  rank: number // 3 the best layer, 1 the lowest, 0 no picture
}

export interface MediaViewerPath extends MediaViewer {
  address_kind?: 'ipv4' | 'ipv6'
  nacks?: number
  resent?: number
  queue_ms?: number // how long packets wait on the way
  seats: { anchor: string; video?: MediaSeat | null; audio?: MediaSeat | null }[]
  history?: MediaMoment[]
  why: string[]
}

export interface Recording {
  name: string
  anchor: string
  started_at: string
  ended_at?: string | null
  seconds: number
  bytes: number
  note?: string // video-codec-not-recordable: sound only
  url: string
  index_url: string
}

/** What came of the check of camera, microphone and line before the show. */
export interface LineCheckResult {
  seconds: number
  available?: number // bit/s the browser takes the line to carry; not of the server
  bitrate: number // bit/s
  loss: number // 0..1
  jitter_ms: number
  rtt_ms: number | null
  video?: { width: number; height: number; fps: number } | null
  audio?: boolean
  verdict: 'good' | 'fair' | 'poor'
  causes: string[]
}

/** Who is on air and who speaks, as the room tells it. */
export interface Layout {
  anchors: { anchor: string; on_air: boolean; muted: boolean; speaking: boolean; level_db: number }[]
  speaker: string
}

export interface SessionTotals {
  session: { id: number; title: string; state: SessionState; starts_at: string; live_at: string | null; ended_at: string | null }
  gmv_paid_fen: number
  orders_paid: number
  acu: number | null
  uv: number
}

/** A session's report. A rate whose denominator is zero is null. */
export interface Report {
  at?: string // when it was computed
  session: SessionTotals['session']
  totals: Record<string, number | null>
  anchors: { anchor: string; paid_fen: number }[]
  channels: { channel: string; paid_fen: number }[]
  products: {
    product_id: number
    title?: string
    exposures: number
    clicks: number
    orders: number
    paid_orders: number
    units: number
    paid_fen: number
    ctr?: number | null
    ctor?: number | null
    payment_rate?: number | null
  }[]
  minutes: { at: string; online: number; chat: number; likes: number; orders: number; paid_fen: number; [more: string]: number | string }[]
  events: { at: string; to?: string | null; type: string; [more: string]: unknown }[]
  formulas: Record<string, string>
  formulas_en?: Record<string, string>
  usual?: Record<string, number | null> | null // medians of the last evenings, keys as in totals
  honest?: { paid_fen: number; flagged_fen: number; without_flagged_fen: number }
}

/** What the room tells, see docs/protocol.md. Kept events carry seq, fleeting ones do not. */
export type RoomEvent = { at: string; seq?: number } & (
  | {
      type: 'hello'
      seq: number
      resumed: boolean
      session: { id: number; title: string; state: SessionState }
      epoch: string | number
      you?: ChatUser
      server_time: string
    }
  | { type: 'chat'; id: string; user: ChatUser; text: string; removed?: boolean; held_id?: number }
  | { type: 'pin'; pin_id: number; product: Product; anchors: string[] }
  | { type: 'unpin'; pin_id: number; product?: Product; anchors?: string[] }
  | { type: 'product'; product_id: number; skus: SkuTold[]; server_time?: string }
  | { type: 'session'; state: SessionState }
  | { type: 'viewers'; count: number }
  | { type: 'likes'; count: number }
  | { type: 'removed'; removed_seq: number }
  | { type: 'notice'; text: string }
  | { type: 'sold'; product_id: number; title?: string; quantity: number; buyer: string; also?: SoldItem[] }
  | ({ type: 'refused' } & Refusal)
  | { type: 'held'; id: string; held_id: number; reason: string; remedy?: string; words?: string[] }
  | ({ type: 'moderated' } & Moderated)
  | { type: 'restored'; restored_seq: number; text?: string }
  | { type: 'forgotten'; user: { id: string } }
  | ({ type: 'rules' } & Rules)
  | ({ type: 'board' } & Board)
  | { type: 'questions'; open: number; top: Question[] }
  | { type: 'question'; question_id: number; state: QuestionState; user: string; product_id: number; votes: number }
  | ({ type: 'poll' } & Poll)
  | ({ type: 'poll_counts' } & Partial<Poll>)
  | ({ type: 'draw' } & Draw)
  | { type: 'draws'; draws: Draw[] }
  | { type: 'beat' }
  | ({ type: 'layout' } & Layout)
)

export interface ChatUser {
  id: string
  name: string
  role: Role | ''
  badge?: 'anchor' | 'crew' | 'buyer' | '' // in this session
}

export interface SkuTold {
  id: number
  price_fen: number
  stock: number
  struck_price_fen?: number | null
  flash?: Flash | null
}

export interface SoldItem {
  product_id: number
  title: string
  quantity: number
}

/** Why the room did not take a message, and what to do. */
export interface Refusal {
  id?: string
  reason: string
  remedy?: string // the server's own sentence
  words?: string[] // what was at fault, as it was written
  retry_ms?: number
  until?: string
  note?: string // what a moderator wrote
}

/** What a moderator did to us or to a message of ours. */
export interface Moderated {
  what: 'removed' | 'restored' | 'muted' | 'unmuted' | 'banned' | 'approved' | 'rejected' | 'expired' | 'appeal'
  act_id?: number
  reason?: string
  until?: string
  removed_seq?: number
  restored_seq?: number
  held_id?: number
  id?: string
  seq?: number
  state?: string
  answer?: string
}

/** Who may speak in a room, and what is to be told on entry. */
export interface Rules {
  silent: boolean
  silent_reason?: string
  slow_seconds: number
  who: 'everyone' | 'followers' | 'buyers'
  min_account_minutes: number
  links: 'allow' | 'review' | 'refuse'
  review_all: boolean
  notice?: string
  ai_made: boolean
  ai_text?: string
}

export type QuestionState = 'open' | 'answered' | 'dismissed' | 'withdrawn'

/** A question to the anchor. */
/** What stands in a room: its welcome line and the pinned notice. */
export interface Board {
  welcome: string
  pinned: { text: string; since: string } | null
}

export interface Question {
  question_id: number
  state: QuestionState
  user: { id: string; name: string }
  text: string
  product_id: number // 0: about none
  votes: number
  asked_at: string
  done_at?: string | null
  reason?: string // why it was dismissed
}

export interface Poll {
  poll_id: number
  session_id: number
  state: 'open' | 'closed'
  question: string
  options: { text: string; votes: number }[]
  total: number
  opened_at: string
  closes_at: string
  closed_at: string | null
  my_option?: number | null
}

/** A lucky draw; its odds are winners / entrants, never worse than winners / most_entrants. */
export interface Draw {
  draw_id: number
  session_id: number
  state: 'announced' | 'open' | 'closed' | 'drawn' | 'cancelled'
  title: string
  prize: string
  winners: number
  who: 'accounts' | 'buyers'
  most_entrants: number
  entrants: number
  opens_at: string
  closes_at: string
  published_at: string
  rule: string
  commitment: string
  terms_hash: string
  reason?: string
  drawn_at: string | null
  entrants_hash?: string
  seed?: string
  won: { ticket: string; user: string }[]
  my_ticket?: string
}

/** All that is needed to draw again by oneself. */
export interface DrawProof {
  draw_id: number
  rule: string
  terms: string
  terms_hash: string
  commitment: string
  seed: string
  entrants: string[] // tickets in ascending order
  entrants_hash: string
  winners: string[]
}

/** What a member of the room may say. */
export type RoomMessage =
  | { type: 'chat'; id: string; text: string }
  | { type: 'like'; count: number }
  | { type: 'click'; product_id: number }
  | { type: 'exposure'; product_ids: number[] }
  | { type: 'share' }
  | { type: 'follow'; anchor: string }
