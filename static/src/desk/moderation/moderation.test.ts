import { expect, test } from 'vitest'
import { ApiError } from '@/api/client'
import { decode, problemOf } from './importing'
import { span } from './reasons'
import { refusalOf } from './refusals'
import { mayUndo } from './words'

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

test('a file is read as UTF-8, or as GB 18030 where it is none', () => {
  expect(decode(new TextEncoder().encode('返利'))).toBe('返利')
  expect(decode(new Uint8Array([0xb7, 0xb5, 0xc0, 0xfb]))).toBe('返利')
})

test('what is wrong with a line is told in Chinese where it is known', () => {
  expect(problemOf('is the same as line 12')).toBe('和第 12 行一样')
  expect(problemOf('is odd')).toBe('is odd')
})
