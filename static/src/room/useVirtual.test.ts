import { describe, expect, it } from 'vitest'
import { lineAt, offsetsOf } from './useVirtual'
import { faultsOf, partsOf } from './words'

describe('offsets of lines', () => {
  const lines = [3, 5, 9].map((seq) => ({ seq }))
  it('adds known heights, guessed ones and gaps', () => {
    expect([...offsetsOf(lines, new Map([[5, 50]]), 4)]).toEqual([0, 34, 88, 122])
  })
  it.each([
    [-10, 0],
    [0, 0],
    [33, 0],
    [34, 1],
    [87, 1],
    [500, 2],
  ])('finds the line at %i px', (y, want) => expect(lineAt(offsetsOf(lines, new Map([[5, 50]]), 4), y)).toBe(want))
  it('finds the first of none', () => expect(lineAt(offsetsOf([], new Map(), 4), 10)).toBe(0))
})

describe('words', () => {
  const titles = new Map([[12, '围巾']])
  it.each([
    ['#12 有红色吗', [{ text: '#12', product: 12 }, { text: ' 有红色吗' }]],
    ['要＃12', [{ text: '要' }, { text: '＃12', product: 12 }]],
    ['#13 没有', [{ text: '#13 没有' }]],
    ['', [{ text: '' }]],
  ])('%s', (text, want) => expect(partsOf(text, titles)).toEqual(want))
  it('marks what was at fault', () => {
    expect(faultsOf('加我 (微信) 吧', ['(微信)'])).toEqual([
      { text: '加我 ', bad: false },
      { text: '(微信)', bad: true },
      { text: ' 吧', bad: false },
    ])
    expect(faultsOf('x', [])).toEqual([{ text: 'x', bad: false }])
  })
})
