import { expect, test } from 'vitest'
import { ApiError } from '@/api/client'
import type { ChatLine } from '@/room/useRoom'
import { span } from './reasons'
import { refusalOf } from './refusals'
import { lineNow } from './useCrewRoom'
import { mayUndo } from './words'

const line: ChatLine = {
  seq: 7,
  at: '2022-07-08T11:00:00Z',
  kind: 'chat',
  text: '',
  user: { id: 'e17b467dceb3', name: '王', role: 'buyer' },
  quantity: 0,
  removed: true,
}

test('a line that was given back shows its text again; without a text it stays down', () => {
  expect(lineNow(line, new Map([[7, '有红色吗']]), new Set())).toMatchObject({ removed: false, text: '有红色吗' })
  expect(lineNow(line, new Map([[7, '']]), new Set()).removed).toBe(true)
  expect(lineNow(line, new Map(), new Set())).toBe(line)
})

test('who is forgotten has neither name nor words, given back or not', () => {
  const now = lineNow(line, new Map([[7, '有红色吗']]), new Set(['e17b467dceb3']))
  expect([now.text, now.user?.name]).toEqual(['', ''])
})

test('what is young and of the right kind can be taken back once', () => {
  const at = '2022-07-08T11:00:00Z'
  const now = Date.parse(at)
  expect(mayUndo({ kind: 'mute', at }, now + 9 * 60_000)).toBe(true)
  expect(mayUndo({ kind: 'mute', at }, now + 10 * 60_000)).toBe(false)
  expect(mayUndo({ kind: 'mute', at, undone_by: 3 }, now)).toBe(false)
  expect(mayUndo({ kind: 'silence', at }, now)).toBe(false)
})

test('refusals are told in our words, others as they are', () => {
  expect((refusalOf(new ApiError(409, 'same-person', 'who acted')) as ApiError).detail).toContain('同事')
  const other = new ApiError(409, 'else', 'so')
  expect(refusalOf(other)).toBe(other)
})

test.each([
  [10, '10 分钟'],
  [60, '1 小时'],
  [43_200, '30 天'],
  [0, '不设期限'],
])('%d minutes are %s', (minutes, words) => expect(span(minutes)).toBe(words))
