// The questions of a session as a viewer sees them: all open and answered ones, one's own, and what one voted for.
import { watchDebounced } from '@vueuse/core'
import { ref, shallowRef, watch } from 'vue'
import { account } from '@/account/account'
import { api } from '@/api/client'
import type { Page, Question } from '@/api/types'
import type { LiveRoom } from '@/room/useRoom'
import { useAsk } from '@/ui/useAsk'

export function useQuestions(sessionId: number, room: LiveRoom) {
  const path = `/sessions/${sessionId}/questions`
  const all = useAsk((signal) => api.get<Page<Question>>(path, { sort: 'votes', limit: 100 }, { signal }))
  const mine = shallowRef<Question[]>([])
  const voted = ref(new Set<number>())

  async function askMine(): Promise<void> {
    if (!account.user.value) return void (mine.value = [])
    const got = await api.get<Page<Question>>(`${path}/mine`).catch(() => null)
    if (got) mine.value = got.items
  }
  function refresh(): void {
    void all.ask()
    void askMine()
  }
  void askMine()
  watch(account.user, refresh)
  // Many may ask and vote in the same moment: fetched once it is quiet, every three seconds at the latest.
  watchDebounced([room.questions, room.marked], refresh, { debounce: 500, maxWait: 3000 })

  return {
    items: () => all.data.value?.items ?? null,
    error: all.error,
    mine,
    voted,
    refresh,
    async ask(text: string, product: number): Promise<void> {
      await api.post(path, { text, ...(product > 0 ? { product_id: product } : {}) })
      refresh()
    },
    async vote(id: number): Promise<void> {
      await api.post(`${path}/${id}/votes`)
      voted.value = new Set([...voted.value, id])
      refresh()
    },
    async withdraw(id: number): Promise<void> {
      await api.post(`${path}/${id}/withdraw`)
      refresh()
    },
  }
}
