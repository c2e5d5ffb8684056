// One person's conversation with a room, as reactive state: what is said, shown and sold, who is there, and whether
// the line holds. Lives and ends with the scope that calls it. Shared by the viewer's room, the studio and the desk.
import { onScopeDispose, ref, shallowRef, toValue, triggerRef, watch, type MaybeRefOrGetter } from 'vue'
import { randomKey } from '@/api/intent'
import { openRoom, type Room, type RoomState } from '@/api/room'
import type { ChatUser, Layout, Pin, Product, RoomEvent, Session, SessionState, ShelfItem } from '@/api/types'

/** A line of the room's conversation. */
export interface ChatLine {
  seq: number
  at: string
  kind: 'chat' | 'notice' | 'sold'
  text: string // of a sold line: the product's title, if told
  user: ChatUser | null
  quantity: number // of a sold line
  removed: boolean // taken down: moderators may show that, viewers do not see it
}

export interface RoomNotice {
  seq: number
  at: string
  text: string
}

/** A pin as the room tells it. */
export type RoomPin = Pick<Pin, 'id' | 'product_id' | 'anchors' | 'product'>

/** What a SKU costs and how many are left, newer than the session that was fetched. */
export type SkuNow = Pick<ShelfItem, 'price_fen' | 'stock' | 'struck_price_fen' | 'flash'>

export interface Refused {
  id: string
  reason: string
  text: string // what we had said, for putting it back into the field
}

const mostLines = 300
const mostNotices = 20

/** Joins the room of a session id; null or 0 joins none. Seed it with the fetched session, see seed(). */
export function useRoom(sessionId: MaybeRefOrGetter<number | null>) {
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

  let room: Room | undefined
  const said = new Map<string, string>()

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
    for (const e of events) apply(e, lines)
    if (lines.length > 0) chat.value = [...chat.value, ...lines].slice(-mostLines)
  }

  function apply(e: RoomEvent, lines: ChatLine[]): void {
    const at = e.at
    switch (e.type) {
      case 'hello':
        return hello(e)
      case 'chat':
        said.delete(e.id)
        lines.push({ seq: e.seq ?? 0, at, kind: 'chat', text: e.text, user: e.user, quantity: 0, removed: e.removed ?? false })
        return
      case 'notice':
        lines.push({ seq: e.seq ?? 0, at, kind: 'notice', text: e.text, user: null, quantity: 0, removed: false })
        notices.value = [...notices.value, { seq: e.seq ?? 0, at, text: e.text }].slice(-mostNotices)
        return
      case 'sold':
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
        return remove(e.removed_seq, lines)
      case 'pin':
        pins.value = [...pins.value.filter((p) => p.id !== e.pin_id), pinOf(e)]
        return
      case 'unpin':
        pins.value = pins.value.filter((p) => p.id !== e.pin_id)
        return
      case 'product':
        for (const s of e.skus) skus.value.set(s.id, nowOf(s))
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
        refused.value = { id: e.id ?? '', reason: e.reason, text: said.get(e.id ?? '') ?? '' }
        said.delete(e.id ?? '')
    }
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
  }

  function remove(seq: number, lines: ChatLine[]): void {
    const hide = (l: ChatLine): ChatLine => (l.seq === seq ? { ...l, removed: true } : l)
    chat.value = chat.value.map(hide)
    lines.splice(0, lines.length, ...lines.map(hide))
  }

  function leave(): void {
    room?.close()
    room = undefined
    greeted = false
    said.clear()
  }

  function join(id: number): void {
    closeCode.value = undefined
    room = openRoom(id, {
      onEvents: take,
      onState: (now, code) => {
        connection.value = now
        if (code) closeCode.value = code
      },
    })
  }

  watch(
    () => toValue(sessionId),
    (id) => {
      leave()
      chat.value = []
      notices.value = []
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
    seed,
    /** Says something; the message's id, or '' when the line is down and nothing was sent. */
    say(text: string): string {
      const id = randomKey()
      if (!room?.send({ type: 'chat', id, text })) return ''
      said.set(id, text)
      return id
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
      chat.value = []
      notices.value = []
      stale.value++
      if (id) join(id)
    },
  }
}

export type LiveRoom = ReturnType<typeof useRoom>

const nowOf = (s: SkuNow): SkuNow => ({
  price_fen: s.price_fen,
  stock: s.stock,
  struck_price_fen: s.struck_price_fen ?? null,
  flash: s.flash ?? null,
})

const pinOf = (e: { pin_id: number; product: Product; anchors: string[] }): RoomPin => ({
  id: e.pin_id,
  product_id: e.product.id,
  anchors: e.anchors,
  product: e.product,
})
