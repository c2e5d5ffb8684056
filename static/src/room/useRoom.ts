// One person's conversation with a room, as reactive state: what is said, shown and sold, who is there, and whether
// the line holds. Lives and ends with the scope that calls it. Shared by the viewer's room, the studio and the desk.
import { onScopeDispose, ref, shallowRef, toValue, triggerRef, watch, type MaybeRefOrGetter } from 'vue'
import { openRoom, type Room, type RoomState } from '@/api/room'
import type {
  ChatUser,
  Draw,
  Layout,
  Moderated,
  Pin,
  Poll,
  Product,
  Question,
  Refusal,
  RoomEvent,
  Rules,
  Session,
  SessionState,
  SkuTold,
} from '@/api/types'
import { useOutbox } from './useOutbox'

/** A line of the room's conversation. */
export interface ChatLine {
  seq: number
  at: string
  kind: 'chat' | 'notice' | 'sold' | 'welcome'
  text: string // of a sold line: the product's title, if told
  user: ChatUser | null
  quantity: number // of a sold line
  removed: boolean // taken down: moderators may show that, viewers do not see it
}

/** What was bought a moment ago, for a banner. */
export interface SoldNow {
  key: number
  buyer: string // first letter of who has agreed, else ''
  title: string
  quantity: number
  also: number // how many other products were bought in that second
}

/** The line over the conversation: a welcome, a notice that stays. */
export interface Board {
  welcome: string
  pinned: { text: string; since: string } | null
}

export interface RoomNotice {
  seq: number
  at: string
  text: string
}

/** A pin as the room tells it. */
export type RoomPin = Pick<Pin, 'id' | 'product_id' | 'anchors' | 'product'>

/** What a SKU costs and how many are left, newer than the session that was fetched. */
export type SkuNow = Omit<SkuTold, 'id'>

export interface Refused extends Refusal {
  id: string
  text: string // what we had said, for putting it back into the field
  at: number // ms since 1970, by our clock
}

/** A message of ours that waits for a moderator. */
export interface Held {
  id: string
  held_id: number
  text: string
  words: string[]
}

const mostLines = 10_000
const mostNotices = 20
const freshFor = 10_000 // ms that a purchase is news

/**
 * Joins the room of a session id; null or 0 joins none. Seed it with the fetched session, see seed(). `also` hears every event
 * too: for what only some pages show.
 */
export function useRoom(sessionId: MaybeRefOrGetter<number | null>, also?: (e: RoomEvent) => void) {
  const chat = shallowRef<ChatLine[]>([])
  const pins = shallowRef<RoomPin[]>([])
  const notices = shallowRef<RoomNotice[]>([])
  const skus = shallowRef(new Map<number, SkuNow>())
  const viewers = ref(0)
  const likes = ref(0)
  const state = ref<SessionState | null>(null)
  const layout = shallowRef<Layout | null>(null) // who is on air and speaks, null when the server does not tell
  const me = shallowRef<ChatUser | null>(null) // how the room sees us
  const refused = shallowRef<Refused | null>(null)
  const connection = ref<RoomState>('connecting')
  const closeCode = ref<number>()
  const stale = ref(0) // counts up when something may have been missed: fetch the session again and seed()
  const clockAhead = ref(0) // ms the server's clock is ahead of ours
  const readOnly = ref(false) // only server-sent events get through: nothing can be said
  const rules = shallowRef<Rules | null>(null)
  const board = shallowRef<Board>({ welcome: '', pinned: null })
  const questions = shallowRef<{ open: number; top: Question[] }>({ open: 0, top: [] })
  const marked = ref(0) // counts up with every question that was answered, dismissed or withdrawn
  const poll = shallowRef<Poll | null>(null) // the open one, or one that was closed a moment ago
  const draws = shallowRef<Draw[]>([])
  const sold = shallowRef<SoldNow | null>(null)
  const held = shallowRef<Held[]>([]) // messages of ours that wait for a moderator
  const moderated = shallowRef<Moderated | null>(null) // what was done to us last

  let room: Room | undefined
  const outbox = useOutbox()

  /** Takes what the fetched session says; the room's later events change it. */
  function seed(s: Session): void {
    pins.value = s.pins.map(({ id, product_id, anchors, product }) => ({ id, product_id, anchors, product }))
    state.value = s.state
    viewers.value = s.viewers
    skus.value = new Map()
    clockAhead.value = Date.parse(s.server_time) - Date.now() || 0
  }

  function take(events: RoomEvent[]): void {
    const lines: ChatLine[] = []
    for (const e of events) {
      apply(e, lines)
      also?.(e)
    }
    if (lines.length > 0) chat.value = [...chat.value, ...lines].slice(-mostLines)
  }

  function apply(e: RoomEvent, lines: ChatLine[]): void {
    const at = e.at
    switch (e.type) {
      case 'hello':
        return hello(e)
      case 'chat':
        outbox.arrived(e.id)
        if (e.held_id) held.value = held.value.filter((h) => h.held_id !== e.held_id)
        lines.push({ seq: e.seq ?? 0, at, kind: 'chat', text: e.text, user: e.user, quantity: 0, removed: e.removed ?? false })
        return
      case 'notice':
        lines.push({ seq: e.seq ?? 0, at, kind: 'notice', text: e.text, user: null, quantity: 0, removed: false })
        notices.value = [...notices.value, { seq: e.seq ?? 0, at, text: e.text }].slice(-mostNotices)
        return
      case 'sold':
        announce(e)
        lines.push({
          seq: e.seq ?? 0,
          at,
          kind: 'sold',
          text: e.title ?? '',
          user: { id: '', name: e.buyer, role: '' },
          quantity: e.quantity,
          removed: false,
        })
        return
      case 'removed':
        return change(lines, (l) => (l.seq === e.removed_seq ? { ...l, removed: true } : l))
      case 'restored':
        return change(lines, (l) => (l.seq === e.restored_seq && e.text ? { ...l, removed: false, text: e.text } : l))
      case 'forgotten':
        return change(lines, (l) => (l.user?.id === e.user.id ? { ...l, text: '', user: { ...l.user, name: '' }, removed: true } : l))
      case 'pin':
        pins.value = [...pins.value.filter((p) => p.id !== e.pin_id), pinOf(e)]
        return
      case 'unpin':
        pins.value = pins.value.filter((p) => p.id !== e.pin_id)
        return
      case 'product':
        for (const { id, ...now } of e.skus) skus.value.set(id, now)
        triggerRef(skus)
        return
      case 'session':
        state.value = e.state
        return
      case 'viewers':
        viewers.value = e.count
        return
      case 'likes':
        likes.value = Math.max(likes.value, e.count)
        return
      case 'layout':
        layout.value = { anchors: e.anchors ?? [], speaker: e.speaker ?? '' }
        return
      case 'refused':
        refused.value = { ...e, id: e.id ?? '', text: outbox.take(e.id ?? ''), at: Date.now() }
        return
      case 'held':
        held.value = [...held.value, { id: e.id, held_id: e.held_id, text: outbox.take(e.id), words: e.words ?? [] }]
        return
      case 'moderated':
        held.value = held.value.filter((h) => h.held_id !== e.held_id)
        moderated.value = e
        return
      case 'rules':
        rules.value = e
        return
      case 'board':
        board.value = { welcome: e.welcome, pinned: e.pinned }
        return
      case 'questions':
        questions.value = { open: e.open, top: e.top ?? [] }
        return
      case 'question':
        marked.value++
        return
      case 'poll_counts':
        poll.value = e.poll_id ? (e as Poll) : null
        return
      case 'poll':
        poll.value = e
        return
      case 'draws':
        draws.value = e.draws ?? []
        return
      case 'draw':
        draws.value = [...draws.value.filter((d) => d.draw_id !== e.draw_id), e]
    }
  }

  let bought = 0
  /** History is told again on entry; only what is bought now is news. */
  function announce(e: Extract<RoomEvent, { type: 'sold' }>): void {
    if (Date.now() + clockAhead.value - Date.parse(e.at) > freshFor) return
    sold.value = { key: ++bought, buyer: e.buyer, title: e.title ?? '', quantity: e.quantity, also: e.also?.length ?? 0 }
  }

  let greeted = false
  function hello(e: Extract<RoomEvent, { type: 'hello' }>): void {
    clockAhead.value = Date.parse(e.server_time) - Date.now() || clockAhead.value
    state.value = e.session.state
    me.value = e.you ?? null
    if (greeted && !e.resumed) {
      chat.value = []
      notices.value = []
      stale.value++
    }
    greeted = true
    // What we said and have not seen: the room knows messages by their id and shows none twice.
    for (const { id, text } of outbox.waiting(e.you?.id ?? '')) room?.send({ type: 'chat', id, text })
  }

  function change(lines: ChatLine[], how: (l: ChatLine) => ChatLine): void {
    chat.value = chat.value.map(how)
    lines.splice(0, lines.length, ...lines.map(how))
  }

  /** Forgets all that the room told. */
  function forget(): void {
    chat.value = []
    notices.value = []
    held.value = []
    rules.value = poll.value = sold.value = null
    board.value = { welcome: '', pinned: null }
    questions.value = { open: 0, top: [] }
    draws.value = []
  }

  function leave(): void {
    room?.close()
    room = undefined
    greeted = false
  }

  function join(id: number): void {
    closeCode.value = undefined
    readOnly.value = false
    outbox.open(id)
    room = openRoom(id, {
      onEvents: take,
      onState: (now, code) => {
        connection.value = now
        if (code) closeCode.value = code
      },
      onReadOnly: (is) => (readOnly.value = is),
    })
  }

  watch(
    () => toValue(sessionId),
    (id) => {
      leave()
      forget()
      likes.value = 0
      layout.value = null
      if (id) join(id)
    },
    { immediate: true },
  )
  onScopeDispose(leave)

  return {
    chat,
    pins,
    notices,
    skus,
    viewers,
    likes,
    state,
    layout,
    me,
    refused,
    connection,
    closeCode,
    stale,
    clockAhead,
    readOnly,
    rules,
    board,
    questions,
    marked,
    poll,
    draws,
    sold,
    held,
    moderated,
    unseen: outbox.unseen, // what we said and the room has not shown yet
    seed,
    /** Says something; the message's id, or '' when the line is down and nothing was sent. */
    say(text: string): string {
      const id = outbox.put(text, me.value?.id ?? '')
      if (room?.send({ type: 'chat', id, text })) return id
      outbox.take(id)
      return ''
    },
    /** Shows no refusal any more. */
    settle(): void {
      refused.value = null
    },
    like: (count: number): boolean => room?.send({ type: 'like', count }) ?? false,
    click: (product_id: number): boolean => room?.send({ type: 'click', product_id }) ?? false,
    exposure: (product_ids: number[]): boolean => (product_ids.length > 0 && room?.send({ type: 'exposure', product_ids })) || false,
    share: (): boolean => room?.send({ type: 'share' }) ?? false,
    follow: (anchor: string): boolean => room?.send({ type: 'follow', anchor }) ?? false,
    /** Comes back after the person signed in or out: the room knows people by their connection. */
    rejoin(): void {
      const id = toValue(sessionId)
      leave()
      forget()
      stale.value++
      if (id) join(id)
    },
  }
}

export type LiveRoom = ReturnType<typeof useRoom>

const pinOf = (e: { pin_id: number; product: Product; anchors: string[] }): RoomPin => ({
  id: e.pin_id,
  product_id: e.product.id,
  anchors: e.anchors,
  product: e.product,
})
