import { expect, test } from 'vitest'
import { effectScope } from 'vue'
import { unitsSince, useStanding } from './useStanding'

test('units of the last minute, and of it alone', () => {
  const now = Date.parse('2022-07-08T11:23:00Z')
  const sales = [
    { at: now - 60_000, units: 5 },
    { at: now - 59_999, units: 2 },
    { at: now, units: 3 },
  ]
  expect(unitsSince(sales, now)).toBe(5)
})

test('a room tells what stands, and that a poll is over', () => {
  const scope = effectScope()
  scope.run(() => {
    const s = useStanding()
    const at = new Date().toISOString()
    s.hear({ at, type: 'board', welcome: '欢迎', pinned: { text: '今晚包邮', since: at } })
    s.hear({ at, type: 'questions', open: 4, top: [] })
    s.hear({
      at,
      type: 'poll_counts',
      poll_id: 3,
      session_id: 7,
      state: 'open',
      question: '先讲哪个',
      options: [],
      total: 0,
      opened_at: at,
      closes_at: at,
      closed_at: null,
    })
    expect(s.board.value.pinned?.text).toBe('今晚包邮')
    expect(s.waiting.value).toBe(4)
    expect(s.poll.value?.poll_id).toBe(3)
    s.hear({ at, type: 'poll_counts' })
    expect(s.poll.value).toBeNull()
    const sold = { type: 'sold' as const, at, product_id: 1, quantity: 3, buyer: '', also: [{ product_id: 2, title: '', quantity: 2 }] }
    s.hear(sold)
    expect(s.soldNow.value).toBe(5)
  })
  scope.stop()
})
