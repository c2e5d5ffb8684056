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
  send.mockClear()
  close.mockClear()
  scope = effectScope()
  room = scope.run(() => useRoom(1))!
  tell(hello(false))
})
afterEach(() => scope.stop())

describe('useRoom', () => {
  it('keeps the newest 300 lines', () => {
    tell(...Array.from({ length: 350 }, (_, i) => chat(i + 1)))
    expect(room.chat.value).toHaveLength(300)
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
    expect(room.refused.value).toEqual({ id, reason: 'too-fast', text: '有红色的吗' })
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
