// Being on air, as reactive state: one publisher of one session, closed with the scope.
import { computed, onScopeDispose, ref, shallowRef } from 'vue'
import type { ApiError } from '@/api/client'
import { type LineStats, publish, type Publisher, type PublishState } from '@/media/whip'
import { isThin } from './checks'

export function usePublisher(sessionId: () => number) {
  const state = ref<PublishState | null>(null)
  const error = shallowRef<ApiError | null>(null)
  const line = shallowRef<LineStats | null>(null)
  const thinFor = ref(0) // looks in a row
  let publisher: Publisher | null = null
  let waiting: ((on: boolean) => void)[] = []

  function changed(now: PublishState, problem?: ApiError): void {
    state.value = now
    if (now !== 'on-air') {
      line.value = null
      thinFor.value = 0
    }
    if (problem) error.value = problem
    if (now === 'on-air' || now === 'refused' || now === 'ended') {
      for (const tell of waiting) tell(now === 'on-air')
      waiting = []
    }
  }

  /** Starts sending, unless it does already. Settles when media flows (true), was refused or given up (false). */
  function start(stream: MediaStream): Promise<boolean> {
    if (state.value === 'on-air') return Promise.resolve(true)
    const done = new Promise<boolean>((resolve) => waiting.push(resolve))
    if (!publisher) {
      error.value = null
      publisher = publish({
        url: `/api/v1/sessions/${sessionId()}/whip`,
        stream,
        onState: (now, problem) => {
          if (now === 'refused' || now === 'ended') publisher = null
          changed(now, problem)
        },
        onStats: (stats) => {
          line.value = stats
          thinFor.value = isThin(stats) ? thinFor.value + 1 : 0
        },
      })
    }
    return done
  }

  async function stop(): Promise<void> {
    const p = publisher
    publisher = null
    await p?.close()
    state.value = null
  }

  onScopeDispose(() => void stop())
  return {
    state,
    error,
    line,
    thinFor,
    active: computed(() => state.value === 'connecting' || state.value === 'on-air' || state.value === 'reconnecting'),
    start,
    stop,
    hurry: () => publisher?.hurry(),
    replace: (track: MediaStreamTrack) => void publisher?.replace(track),
  }
}

export type StudioPublisher = ReturnType<typeof usePublisher>
