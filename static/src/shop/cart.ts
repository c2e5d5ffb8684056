// The cart of a session: what a buyer puts aside to pay together. Kept on this device over a reload; holds no price and no
// stock, those are read when it is shown. Plain data, one cart a session.
import { ref, watch, type Ref } from 'vue'
import type { OrderItem } from '@/api/types'

export const mostLines = 50
export const mostUnits = 99

export interface Cart {
  items: Ref<OrderItem[]>
  /** Adds units; false when the cart is full. */
  add(sku_id: number, quantity: number): boolean
  set(sku_id: number, quantity: number): void // 0 takes it out
  clear(): void
}

const carts = new Map<number, Cart>()

/** The cart of a session, the same one for all who ask. */
export function cartOf(sessionId: number): Cart {
  const known = carts.get(sessionId)
  if (known) return known
  const cart = openCart(`duoduopin.cart.${sessionId}`)
  carts.set(sessionId, cart)
  return cart
}

/** A cart kept under this name. */
export function openCart(name: string, store: Storage = localStorage): Cart {
  const items = ref<OrderItem[]>(read(name, store))
  watch(items, (now) => keep(name, now, store), { flush: 'sync' })
  const others = (sku_id: number) => items.value.filter((i) => i.sku_id !== sku_id)
  const has = (sku_id: number) => items.value.find((i) => i.sku_id === sku_id)
  return {
    items,
    add(sku_id, quantity) {
      const held = has(sku_id)
      if (!held && items.value.length >= mostLines) return false
      const n = Math.min(mostUnits, (held?.quantity ?? 0) + quantity)
      items.value = held ? items.value.map((i) => (i === held ? { sku_id, quantity: n } : i)) : [...items.value, { sku_id, quantity: n }]
      return true
    },
    set(sku_id, quantity) {
      const n = Math.min(mostUnits, Math.trunc(quantity))
      items.value = n > 0 ? items.value.map((i) => (i.sku_id === sku_id ? { sku_id, quantity: n } : i)) : others(sku_id)
    },
    clear() {
      items.value = []
    },
  }
}

function read(name: string, store: Storage): OrderItem[] {
  try {
    const kept = JSON.parse(store.getItem(name) ?? '[]') as unknown
    return Array.isArray(kept) ? kept.filter(isItem).slice(0, mostLines) : []
  } catch {
    return [] // storage is closed to us, or holds something else
  }
}

function isItem(x: unknown): x is OrderItem {
  const i = x as Partial<OrderItem> | null
  return Number.isInteger(i?.sku_id) && Number.isInteger(i?.quantity) && i!.quantity! > 0 && i!.quantity! <= mostUnits
}

function keep(name: string, items: OrderItem[], store: Storage): void {
  try {
    if (items.length > 0) store.setItem(name, JSON.stringify(items))
    else store.removeItem(name)
  } catch {
    // not kept over a reload
  }
}
