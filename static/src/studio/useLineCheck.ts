// The check of the line as reactive state: one at a time, ended with the scope.
import { onScopeDispose, ref, shallowRef } from 'vue'
import { ApiError } from '@/api/client'
import type { LineCheckResult } from '@/api/types'
import { checkLine, type CheckProgress } from '@/media/check'

export function useLineCheck() {
  const running = ref(false)
  const progress = shallowRef<CheckProgress>({ part: 0, bitrate: 0 })
  const result = shallowRef<LineCheckResult | null>(null)
  const error = shallowRef<unknown>(null)
  const missing = ref(false) // the server has no such check
  let going: AbortController | undefined

  async function run(stream: MediaStream): Promise<void> {
    if (running.value) return
    const mine = (going = new AbortController())
    running.value = true
    result.value = error.value = null
    progress.value = { part: 0, bitrate: 0 }
    try {
      result.value = await checkLine(stream, (p) => (progress.value = p), mine.signal)
    } catch (e) {
      if (mine.signal.aborted) return
      missing.value = e instanceof ApiError && (e.status === 404 || e.status === 405)
      error.value = missing.value ? null : e
    } finally {
      running.value = false
    }
  }
  const stop = (): void => going?.abort()
  onScopeDispose(stop)
  return { running, progress, result, error, missing, run, stop }
}
