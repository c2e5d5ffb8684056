import { describe, expect, it } from 'vitest'
import { mostLines, mostUnits, openCart } from './cart'

function memory(): Storage {
  const all = new Map<string, string>()
  return {
    getItem: (k: string) => all.get(k) ?? null,
    setItem: (k: string, v: string) => void all.set(k, v),
    removeItem: (k: string) => void all.delete(k),
    clear: () => all.clear(),
    key: () => null,
    length: 0,
  }
}

describe('a cart', () => {
  it('adds up units of the same SKU, and lasts over a reload', () => {
    const store = memory()
    const cart = openCart('c', store)
    cart.add(1, 2)
    cart.add(2, 1)
    cart.add(1, 1)
    const want = [
      { sku_id: 1, quantity: 3 },
      { sku_id: 2, quantity: 1 },
    ]
    expect(cart.items.value).toEqual(want)
    expect(openCart('c', store).items.value).toEqual(want)
  })
  it('takes out at zero and forgets when cleared', () => {
    const store = memory()
    const cart = openCart('c', store)
    cart.add(1, 2)
    cart.add(2, 2)
    cart.set(1, 0)
    expect(cart.items.value).toEqual([{ sku_id: 2, quantity: 2 }])
    cart.clear()
    expect(store.getItem('c')).toBeNull()
  })
  it('is bounded', () => {
    const cart = openCart('c', memory())
    for (let n = 1; n <= mostLines; n++) expect(cart.add(n, 1)).toBe(true)
    expect(cart.add(999, 1)).toBe(false)
    cart.add(1, 5000)
    expect(cart.items.value[0]!.quantity).toBe(mostUnits)
  })
  it.each(['', '{}', '[{"sku_id":"x"}]', '[{"sku_id":1,"quantity":-1}]', '[null]'])('reads %s as empty', (kept) => {
    const store = memory()
    store.setItem('c', kept)
    expect(openCart('c', store).items.value).toEqual([])
  })
})
