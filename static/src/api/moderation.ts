// What the JSON API and the room say about keeping a room friendly, see docs/protocol.md ("Moderation"). Times are RFC 3339 in UTC.

export interface Speaker {
  id: string // public id
  name: string
  role: string
}

/** A message as the record has it: `text` is empty when it was removed. */
export interface RecordLine {
  session_id: number
  epoch: string
  seq: number
  at: string
  user: Speaker
  text: string
  removed: boolean
}

export interface Controls {
  slow_seconds: number
  who: 'everyone' | 'followers' | 'buyers'
  min_account_minutes: number
  links: 'allow' | 'review' | 'refuse'
  review_all: boolean
  own_repeats: number
  crowd_repeats: number
  notice: string
  ai_made: boolean
  ai_text: string
  silent: boolean
  silent_reason: string
  changed_at: string | null
  changed_by: string
}

export interface Act {
  id: number
  at: string
  session_id: number // 0: everywhere
  kind: string
  user?: string
  name?: string
  seq?: number
  held_id?: number
  text?: string
  reason?: string
  until?: string | null
  by?: string
  undoes?: number
  undone_by?: number
}

export interface Ban {
  user: string
  name: string
  everywhere: boolean
  until: string | null // null: no end
  reason: string
  by: string
  at: string
}

export interface Held {
  id: number
  at: string
  session_id: number
  user: Speaker
  text: string
  original?: string
  reason: string
  words: string[]
  state: 'waiting' | 'approved' | 'rejected' | 'expired'
  decided_by?: string
  decided_at?: string | null
  note?: string
  seq?: number
}

export interface Found {
  items: RecordLine[]
  next: string
  until: string | null // back to when was looked
}

export interface Person {
  user: string
  name: string
  acts: Act[]
  held: Held[]
  said: Found
}

export type AppealState = 'open' | 'upheld' | 'overturned' | 'withdrawn'

export interface Appeal {
  id: number
  act_id: number
  session_id: number
  user: string
  name: string
  text: string
  at: string
  state: AppealState
  decided_by?: string
  decided_at?: string | null
  answer?: string
}

export interface AppealCase {
  appeal: Appeal
  act: Act
  text: string // of the message in question
}

/** What was done to the person who asks: not by whom. */
export interface MyAct {
  act_id: number
  at: string
  session_id: number
  kind: 'remove' | 'restore' | 'mute' | 'unmute' | 'ban' | 'unban' | 'approve' | 'reject'
  seq?: number
  held_id?: number
  reason: string
  until: string | null
  undone: boolean
  appeal: { text: string; at: string; state: AppealState; answer: string } | null
}

export type ListAction = 'refuse' | 'hold' | 'mask'

export interface WordList {
  id: number
  session_id: number // 0: of the installation
  name: string
  action: ListAction
  enabled: boolean
  words: number
}

export interface ListedWord {
  id: number
  word: string
  note: string
}

export interface ImportLine {
  line: number
  text: string
  problem: string
}

export interface ImportResult {
  applied: boolean
  words: number
  bad: number
  bad_lines: ImportLine[]
  odd_lines: ImportLine[]
  sample: string[]
}

export interface Tried {
  folded: string
  action: ListAction | ''
  words: string[]
  said: string
  link: boolean
}

/** The room's rules as its `rules` event tells them. */
export type Rules = Pick<Controls, 'slow_seconds' | 'who' | 'min_account_minutes' | 'links' | 'review_all' | 'ai_made'> & {
  silent: boolean
  silent_reason?: string
  notice?: string
  ai_text?: string
}

/** What the room tells the crew beside what it tells everybody. */
export type ModerationEvent =
  | ({ type: 'rules' } & Rules)
  | { type: 'restored'; restored_seq: number; text?: string }
  | { type: 'forgotten'; user: { id: string } }
  | { type: 'moderation'; what: 'act'; act: Act }
  | { type: 'moderation'; what: 'queue' }
  | { type: 'moderation'; what: 'appeal'; appeal: Appeal }
  | { type: 'moderation'; what: 'raid'; text: string; people: number; refused: number }
