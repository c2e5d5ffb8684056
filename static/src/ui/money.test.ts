import { describe, expect, it } from 'vitest'
import { money, moneyParts, parseYuan } from './money'

describe('money', () => {
  it.each([
    [0, '¥0'],
    [1, '¥0.01'],
    [10, '¥0.10'],
    [12_850, '¥128.50'],
    [100_000, '¥1,000'],
    [999_999_999, '¥9,999,999.99'],
    [-500, '−¥5'],
    [-1, '−¥0.01'],
  ])('%i fen is %s', (fen, text) => expect(money(fen)).toBe(text))
  it('shows .00 when asked', () => expect(money(9900, true)).toBe('¥99.00'))
  it('comes in parts', () => expect(moneyParts(12_850)).toEqual({ sign: '¥', yuan: '128', fen: '.50' }))
})

describe('parseYuan', () => {
  it.each([
    ['128', 12_800],
    ['128.5', 12_850],
    ['128.05', 12_805],
    ['1,280.50', 128_050],
    ['¥128', 12_800],
    [' 0 ', 0],
    ['', null],
    ['abc', null],
    ['1.234', null],
    ['-5', null],
    ['1e3', null],
  ])('%j is %s', (text, fen) => expect(parseYuan(text)).toBe(fen))
})
