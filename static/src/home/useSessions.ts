// The sessions of the home page: those that run and those that come, fetched again while the page is looked at; the
// past ones by pages.
import { useDocumentVisibility, useIntervalFn } from '@vueuse/core'
import { computed, watch } from 'vue'
import { api } from '@/api/client'
import type { Page, Session } from '@/api/types'
import { useAsk } from '@/ui/useAsk'
import { useMore } from '@/ui/useMore'

const every = 20_000

export function useSessions() {
  const list = (state: string, signal: AbortSignal, after?: string) => api.get<Page<Session>>('/sessions', { state, after }, { signal })
  const current = useAsk((signal) => list('live,interrupted,scheduled,rehearsing', signal))
  const past = useMore<Session>((after, signal) => list('ended', signal, after))

  const visible = useDocumentVisibility()
  const { pause, resume } = useIntervalFn(() => void current.ask(), every)
  watch(visible, (v) => {
    if (v === 'hidden') return pause()
    void current.ask()
    resume()
  })

  const all = computed(() => current.data.value?.items ?? [])
  return {
    current,
    past,
    live: computed(() => all.value.filter((s) => s.state === 'live' || s.state === 'interrupted')),
    coming: computed(() => all.value.filter((s) => s.state === 'scheduled' || s.state === 'rehearsing').reverse()), // nearest first
  }
}
