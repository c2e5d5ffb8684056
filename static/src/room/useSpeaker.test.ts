import { effectScope, nextTick, ref, shallowRef, type EffectScope } from 'vue'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Layout } from '@/api/types'
import { useSpeaker } from './useSpeaker'
import { useUnseen } from './useUnseen'

let scope: EffectScope
beforeEach(() => {
  vi.useFakeTimers()
  scope = effectScope()
})
afterEach(() => {
  scope.stop()
  vi.useRealTimers()
})

describe('useSpeaker', () => {
  const layout = shallowRef<Layout | null>(null)
  const speaks = async (speaker: string) => {
    layout.value = { anchors: [], speaker }
    await nextTick()
  }
  it('changes at most every two seconds, to whoever speaks then', async () => {
    const speaker = scope.run(() => useSpeaker(layout))!
    await speaks('a')
    expect(speaker.value).toBe('a')
    await speaks('b')
    await speaks('c')
    expect(speaker.value).toBe('a')
    await vi.advanceTimersByTimeAsync(2_000)
    expect(speaker.value).toBe('c')
  })
  it('stays where it is for a cough and for silence', async () => {
    const speaker = scope.run(() => useSpeaker(layout))!
    await vi.advanceTimersByTimeAsync(2_000)
    await speaks('a')
    await speaks('b')
    await speaks('a')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(speaker.value).toBe('a')
    await speaks('')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(speaker.value).toBe('a')
  })
})

describe('useUnseen', () => {
  it('stops the picture after two seconds out of sight and brings it back at once', async () => {
    const paused = ref(false)
    const told: boolean[] = []
    scope.run(() => useUnseen(paused, (on) => told.push(on)))
    const page = vi.spyOn(document, 'visibilityState', 'get')
    const turn = async (state: DocumentVisibilityState) => {
      page.mockReturnValue(state)
      document.dispatchEvent(new Event('visibilitychange'))
      await nextTick()
    }
    await turn('hidden')
    await vi.advanceTimersByTimeAsync(1_900)
    expect(told).toEqual([true])
    await vi.advanceTimersByTimeAsync(200)
    expect(told).toEqual([true, false])
    await turn('visible')
    expect(told).toEqual([true, false, true])
    paused.value = true
    await vi.advanceTimersByTimeAsync(2_100)
    expect(told.at(-1)).toBe(false)
  })
})
