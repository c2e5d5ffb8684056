import { effectScope, nextTick, ref, shallowRef, type EffectScope } from 'vue'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ApiError } from '@/api/client'
import type { Layout, Session } from '@/api/types'
import type { LiveRoom } from '@/room/useRoom'
import type { StudioPublisher } from './usePublisher'
import { useHouse, type House } from './useHouse'

const session = shallowRef<Session>()
const layout = shallowRef<Layout | null>(null)
const error = shallowRef<ApiError | null>(null)
const state = ref('on-air')
const reload = vi.fn()
const anchor = (is: object) => (session.value = { anchors: [{ name: 'a', ...is }] } as unknown as Session)

let scope: EffectScope
let house: House
beforeEach(() => {
  vi.useFakeTimers()
  reload.mockClear()
  anchor({})
  layout.value = error.value = null
  state.value = 'on-air'
  scope = effectScope()
  const publisher = { error, state } as unknown as StudioPublisher
  house = scope.run(() => useHouse(session, { layout } as unknown as LiveRoom, publisher, ref('a'), reload))!
})
afterEach(() => {
  scope.stop()
  vi.useRealTimers()
})

it('hears from the room that the sound is off', () => {
  layout.value = { anchors: [{ anchor: 'a', on_air: true, muted: true, speaking: false, level_db: -127 }], speaker: '' }
  expect(house.muted.value).toBe(true)
})
it('hears from a refusal that it was cut, asks until it is restored, and says so', async () => {
  state.value = 'refused'
  error.value = new ApiError(403, 'anchor-cut')
  await nextTick()
  expect([house.cut.value, reload.mock.calls.length]).toEqual([true, 1])
  anchor({ cut: true })
  await nextTick()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(reload).toHaveBeenCalledTimes(2)
  anchor({ cut: false })
  await nextTick()
  expect([house.cut.value, house.restored.value]).toEqual([false, true])
  state.value = 'on-air'
  await nextTick()
  expect(house.restored.value).toBe(false)
})
it('does not say restored to somebody who is on air again', async () => {
  error.value = new ApiError(403, 'anchor-cut')
  state.value = 'refused'
  await nextTick()
  state.value = 'on-air'
  await nextTick()
  await nextTick()
  expect([house.cut.value, house.restored.value]).toEqual([false, false])
})
