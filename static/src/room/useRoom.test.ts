import { effectScope, type EffectScope } from 'vue'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RoomHooks } from '@/api/room'
import type { RoomEvent, Session } from '@/api/types'
import { useRoom, type LiveRoom } from './useRoom'

let hooks: RoomHooks
const send = vi.fn(() => true)
const close = vi.fn()
vi.mock('@/api/room', () => ({
  openRoom: (_id: number, h: RoomHooks) => {
    hooks = h
    return { send, close }
  },
}))

const at = '2026-01-01T00:00:00Z'
const user = { id: 'u', name: '网友', role: 'buyer' }
const tell = (...events: object[]) => hooks.onEvents(events.map((e) => ({ at, ...e })) as RoomEvent[])
const hello = (resumed: boolean) => ({
  type: 'hello',
  seq: 0,
  resumed,
  epoch: 'e',
  session: { id: 1, title: '', state: 'live' },
  server_time: new Date().toISOString(),
})
const chat = (seq: number) => ({ type: 'chat', seq, id: `c${seq}`, user, text: `n${seq}` })

let scope: EffectScope
let room: LiveRoom
beforeEach(() => {
  sessionStorage.clear()
  send.mockClear()
  close.mockClear()
  scope = effectScope()
  room = scope.run(() => useRoom(1))!
  tell(hello(false))
})
afterEach(() => scope.stop())

describe('useRoom', () => {
  it('keeps the newest 10,000 lines', () => {
    tell(...Array.from({ length: 10_050 }, (_, i) => chat(i + 1)))
    expect(room.chat.value).toHaveLength(10_000)
    expect(room.chat.value[0]!.seq).toBe(51)
  })
  it('marks what was taken down, also within one batch', () => {
    tell(chat(1))
    tell({ type: 'removed', seq: 2, removed_seq: 1 }, chat(3), { type: 'removed', seq: 4, removed_seq: 3 })
    expect(room.chat.value.map((l) => [l.seq, l.removed])).toEqual([
      [1, true],
      [3, true],
    ])
  })
  it('follows pins, stock, state and counts', () => {
    tell(
      { type: 'pin', seq: 1, pin_id: 9, product: { id: 4 }, anchors: ['anchor1'] },
      { type: 'viewers', count: 12 },
      { type: 'likes', count: 40 },
    )
    tell(
      { type: 'product', seq: 2, product_id: 4, skus: [{ id: 41, price_fen: 900, stock: 3 }] },
      { type: 'session', seq: 3, state: 'interrupted' },
    )
    expect(room.pins.value.map((p) => [p.id, p.product_id])).toEqual([[9, 4]])
    expect(room.skus.value.get(41)).toMatchObject({ price_fen: 900, stock: 3 })
    expect([room.viewers.value, room.likes.value, room.state.value]).toEqual([12, 40, 'interrupted'])
    tell({ type: 'unpin', seq: 4, pin_id: 9 })
    expect(room.pins.value).toEqual([])
  })
  it('starts over and asks for the session again when it missed something', () => {
    tell(chat(1))
    tell(hello(true), chat(2))
    expect([room.stale.value, room.chat.value.length]).toEqual([0, 2])
    tell(hello(false), chat(7))
    expect([room.stale.value, room.chat.value.map((l) => l.seq)]).toEqual([1, [7]])
  })
  it('knows who speaks', () => {
    tell({ type: 'layout', anchors: [{ anchor: 'a', on_air: true, muted: false, speaking: true, level_db: -20 }], speaker: 'a' })
    expect(room.layout.value).toMatchObject({ speaker: 'a', anchors: [{ anchor: 'a', on_air: true }] })
  })
  it('gives refused words back', () => {
    const id = room.say('有红色的吗')
    tell({ type: 'refused', id, reason: 'too-fast' })
    expect(room.refused.value).toMatchObject({ id, reason: 'too-fast', text: '有红色的吗' })
  })
  it('says again what it has not seen, once the line is back, and only that', () => {
    const seen = room.say('看见了')
    const lost = room.say('没看见')
    tell({ ...chat(1), id: seen })
    send.mockClear()
    tell(hello(true))
    expect(send.mock.calls).toEqual([[{ type: 'chat', id: lost, text: '没看见' }]])
    tell({ ...chat(2), id: lost })
    expect(room.unseen.value).toEqual([])
  })
  it('says it again after a reload too, but never in another name', () => {
    room.say('还没到')
    scope.stop()
    const anew = (you: string) => {
      scope = effectScope()
      room = scope.run(() => useRoom(1))!
      send.mockClear()
      tell({ ...hello(false), you: { id: you, name: '', role: '' } })
      return send.mock.calls.length
    }
    expect(anew('')).toBe(1)
    expect(anew('somebody else')).toBe(0)
    expect(anew('')).toBe(0)
  })
  it('keeps what waits for a moderator until it is decided', () => {
    const id = room.say('请看看')
    tell({ type: 'held', id, held_id: 5, reason: 'blocked-word', words: ['看'] })
    expect(room.held.value).toEqual([{ id, held_id: 5, text: '请看看', words: ['看'] }])
    tell({ type: 'moderated', what: 'rejected', held_id: 5, id, reason: '广告' })
    expect(room.held.value).toEqual([])
    expect(room.moderated.value).toMatchObject({ what: 'rejected', reason: '广告' })
  })
  it('gives a message back, and forgets a person', () => {
    tell(chat(1), chat(2))
    tell({ type: 'removed', seq: 3, removed_seq: 1 }, { type: 'restored', seq: 4, restored_seq: 1, text: 'n1' })
    expect(room.chat.value[0]).toMatchObject({ text: 'n1', removed: false })
    tell({ type: 'forgotten', seq: 5, user: { id: 'u' } })
    expect(room.chat.value.map((l) => [l.text, l.user?.name, l.removed])).toEqual([
      ['', '', true],
      ['', '', true],
    ])
  })
  it('knows what stands in the room', () => {
    tell({ type: 'poll_counts', poll_id: 3, state: 'open', options: [], total: 0 }, { type: 'draws', draws: [{ draw_id: 1 }] })
    expect([room.poll.value?.poll_id, room.draws.value.length]).toEqual([3, 1])
    tell({ type: 'poll_counts' }, { type: 'draw', seq: 6, draw_id: 1, state: 'drawn' })
    expect([room.poll.value, room.draws.value]).toMatchObject([null, [{ draw_id: 1, state: 'drawn' }]])
  })
  it('announces what is bought now, not what history tells', () => {
    const now = new Date().toISOString()
    tell({ type: 'sold', seq: 1, product_id: 1, quantity: 1, buyer: '' })
    expect(room.sold.value).toBeNull()
    tell({ type: 'sold', seq: 2, at: now, product_id: 1, title: '围巾', quantity: 2, buyer: '王', also: [{}] })
    expect(room.sold.value).toMatchObject({ buyer: '王', title: '围巾', quantity: 2, also: 1 })
  })
  it('says nothing on a broken line', () => {
    send.mockReturnValueOnce(false)
    expect(room.say('x')).toBe('')
  })
  it('takes pins from the fetched session', () => {
    room.seed({
      pins: [{ id: 3, product_id: 4, anchors: [], product: { id: 4 } }],
      state: 'live',
      viewers: 5,
      server_time: at,
    } as unknown as Session)
    expect(room.pins.value.map((p) => p.id)).toEqual([3])
    expect(room.viewers.value).toBe(5)
  })
  it('leaves with its scope', () => {
    scope.stop()
    expect(close).toHaveBeenCalledOnce()
  })
})
