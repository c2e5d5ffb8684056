// Buying one product of a session: which variant, how many; the rest is the checkout's.
import { computed, ref, watch } from 'vue'
import type { CartLine } from './coupons'
import type { Good } from './shelf'
import { useCheckout } from './useCheckout'

const mostUnits = 99

export function useBuy(sessionId: number, good: () => Good | null, ahead: () => number) {
  const skuId = ref(0)
  const quantity = ref(1)
  const sku = computed(() => good()?.skus.find((s) => s.sku_id === skuId.value) ?? null)
  const most = computed(() => Math.min(mostUnits, sku.value?.stock ?? 0, sku.value?.flash?.per_person || mostUnits))
  const lines = computed<CartLine[]>(() => {
    const s = sku.value
    return s && s.stock > 0 ? [{ sku_id: s.sku_id, product_id: s.product_id, quantity: quantity.value, price_fen: s.price_fen }] : []
  })
  const checkout = useCheckout(sessionId, () => lines.value, ahead)
  const unitPrice = computed(() => checkout.quoted.value?.items[0]?.price_fen ?? sku.value?.price_fen ?? 0)
  const fresh = computed(() => checkout.quoted.value?.items[0]?.fresh ?? sku.value?.fresh ?? null)
  watch(most, (n) => n > 0 && quantity.value > n && (quantity.value = n))

  /** Begins with a product: its first SKU that can be bought. */
  function begin(): void {
    const skus = good()?.skus ?? []
    skuId.value = (skus.find((s) => s.stock > 0) ?? skus[0])?.sku_id ?? 0
    quantity.value = 1
    checkout.begin()
  }

  return { ...checkout, begin, skuId, quantity, sku, most, unitPrice, fresh }
}

export type Buy = ReturnType<typeof useBuy>
