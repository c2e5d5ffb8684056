// What the assistant's console asks and hears beside moderation: flash sales, the board, questions, polls, draws; see docs/protocol.md
// ("Life of the room"). Money is an integer number of fen, times are RFC 3339 in UTC.

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

export interface Board {
  welcome: string
  pinned: { text: string; since: string } | null
}

export interface Question {
  question_id: number
  state: 'open' | 'answered' | 'dismissed' | 'withdrawn'
  user: { id: string; name: string }
  text: string
  product_id: number // 0: about none
  votes: number
  asked_at: string
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
}

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
  commitment: string
  reason?: string
  drawn_at: string | null
  won: { ticket: string; user: string }[]
}

/** What the room tells of these. */
export type ConsoleEvent =
  | ({ type: 'board' } & Board)
  | { type: 'questions'; open: number; top: Question[] }
  | { type: 'question'; question_id: number; state: Question['state'] }
  | ({ type: 'poll_counts' } & Partial<Poll>)
  | ({ type: 'poll' } & Poll)
  | { type: 'draws'; draws: Draw[] }
  | ({ type: 'draw' } & Draw)
