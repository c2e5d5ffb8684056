// What stands in a room beside its chat, as the crew's console shows it: the board, how many questions wait, the poll, the draws, and
// what was sold in the last minute.
import { useNow } from '@vueuse/core'
import { computed, ref, shallowRef } from 'vue'
import type { Board, Draw, Poll, RoomEvent } from '@/api/types'

interface Sale {
  at: number
  units: number
}

const minute = 60_000

/** Units sold in the minute before `now`. */
export const unitsSince = (sales: readonly Sale[], now: number): number =>
  sales.reduce((n, s) => (s.at > now - minute && s.at <= now + minute ? n + s.units : n), 0)

export function useStanding() {
  const board = shallowRef<Board>({ welcome: '', pinned: null })
  const waiting = ref(0) // questions
  const questions = ref(0) // counts up when they changed
  const poll = shallowRef<Poll | null>(null)
  const draws = shallowRef<Draw[]>([])
  const goods = ref(0) // counts up when a price, a stock or a flash sale changed
  const sales = shallowRef<Sale[]>([])
  const now = useNow({ interval: 5_000 })

  function hear(e: RoomEvent): void {
    switch (e.type) {
      case 'board':
        board.value = { welcome: e.welcome, pinned: e.pinned }
        return
      case 'questions':
        waiting.value = e.open
        questions.value++
        return
      case 'question':
        questions.value++
        return
      case 'poll':
        poll.value = e
        return
      case 'poll_counts':
        poll.value = e.poll_id ? (e as Poll) : null
        return
      case 'draws':
        draws.value = e.draws
        return
      case 'product':
        goods.value++
        return
      case 'sold':
        sales.value = [...sales.value.slice(-500), { at: Date.parse(e.at), units: unitsOf(e) }]
    }
  }
  const soldNow = computed(() => unitsSince(sales.value, now.value.getTime()))
  return { board, waiting, questions, poll, draws, goods, soldNow, hear }
}

function unitsOf(e: { quantity: number }): number {
  const also = (e as { also?: { quantity: number }[] }).also ?? []
  return also.reduce((n, x) => n + x.quantity, e.quantity)
}

export type Standing = ReturnType<typeof useStanding>
