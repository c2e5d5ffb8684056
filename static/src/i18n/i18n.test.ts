import { afterEach, describe, expect, it } from 'vitest'
import { locale, messages, say } from './index'

const t = messages({ hello: '你好，{name}', goods: '{n} 件' }, { hello: 'Hello {name}', goods: 'one item | {n} items' })
afterEach(() => (locale.value = 'zh-CN'))

describe('messages', () => {
  it('speaks the language of the page', () => {
    expect(t('hello', { name: '康巴什' })).toBe('你好，康巴什')
    locale.value = 'en'
    expect(t('hello', { name: 'Kangbashi' })).toBe('Hello Kangbashi')
    expect(document.documentElement.lang).toBe('en')
  })
  it.each([
    [0, '0 items'],
    [1, 'one item'],
    [12, '12 items'],
  ])('counts %i', (n, want) => {
    locale.value = 'en'
    expect(t('goods', { n })).toBe(want)
  })
})

describe('say', () => {
  it.each([
    ['{a} and {b}', { a: 'x', b: 2 }, 'x and 2'],
    ['{a} twice {a}', { a: '{b}', b: 'no' }, '{b} twice {b}'], // what is filled in is not filled again
    ['{gone}.', {}, '.'],
    ['a|b', { n: 2 }, 'a|b'],
  ])('%s', (message, named, want) => expect(say(message, named as Record<string, string>)).toBe(want))
})
