// The cart of a session as it can be bought now: its goods at today's prices, and what can't be bought any more.
import { computed, ref } from 'vue'
import type { ShelfItem } from '@/api/types'
import { cartOf } from './cart'
import type { CartLine } from './coupons'
import type { Good } from './shelf'
import { useCheckout } from './useCheckout'

export interface CartRow {
  sku: ShelfItem
  quantity: number
  most: number
  on: boolean // to be bought now
}

export function useCart(sessionId: number, goods: () => Good[], ahead: () => number) {
  const cart = cartOf(sessionId)
  const off = ref<ReadonlySet<number>>(new Set()) // put aside for later
  const skus = computed(() => new Map(goods().flatMap((g) => g.skus.map((s) => [s.sku_id, s] as const))))
  const rows = computed<CartRow[]>(() =>
    cart.items.value.flatMap(({ sku_id, quantity }) => {
      const sku = skus.value.get(sku_id)
      if (!sku) return []
      return [
        {
          sku,
          quantity: Math.min(quantity, Math.max(1, sku.stock)),
          most: Math.min(99, sku.stock),
          on: sku.stock > 0 && !off.value.has(sku_id),
        },
      ]
    }),
  )
  const lines = computed<CartLine[]>(() =>
    rows.value
      .filter((r) => r.on)
      .map((r) => ({ sku_id: r.sku.sku_id, product_id: r.sku.product_id, quantity: r.quantity, price_fen: r.sku.price_fen })),
  )
  const checkout = useCheckout(
    sessionId,
    () => lines.value,
    ahead,
    () => checkout.order.value?.items.forEach((i) => cart.set(i.sku_id, 0)),
  )

  function toggle(sku_id: number): void {
    const next = new Set(off.value)
    if (!next.delete(sku_id)) next.add(sku_id)
    off.value = next
  }

  return { ...checkout, cart, rows, toggle }
}
