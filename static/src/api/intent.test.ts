import { beforeEach, describe, expect, it } from 'vitest'
import { fulfilled, intentKey, randomKey } from './intent'

beforeEach(() => sessionStorage.clear())

describe('an intent', () => {
  it('keeps its key over double clicks and reloads', () => {
    const key = intentKey('order.1', { sku: 2 })
    expect(intentKey('order.1', { sku: 2 })).toBe(key)
  })
  it('is another one when the wish changes', () => {
    const key = intentKey('order.1', { sku: 2 })
    expect(intentKey('order.1', { sku: 3 })).not.toBe(key)
  })
  it('is another one under another name, and once fulfilled', () => {
    const key = intentKey('order.1', 1)
    expect(intentKey('order.2', 1)).not.toBe(key)
    fulfilled('order.1')
    expect(intentKey('order.1', 1)).not.toBe(key)
  })
  it('works where storage is full', () => {
    const full = {
      getItem: () => null,
      setItem: () => {
        throw new Error('quota')
      },
      removeItem: () => {},
    } as unknown as Storage
    expect(intentKey('order.1', 1, full)).toMatch(/^[0-9a-f]{32}$/)
  })
  it('survives what others wrote into storage', () => {
    sessionStorage.setItem('duoduopin.intent.order.1', '{')
    expect(intentKey('order.1', 1)).toMatch(/^[0-9a-f]{32}$/)
  })
})

it('random keys differ', () => {
  expect(randomKey()).not.toBe(randomKey())
})
