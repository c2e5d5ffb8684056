// The whole of a product (selling points, words not to say), fetched once each and kept for the page.
import { type Ref, shallowRef, watch } from 'vue'
import { api } from '@/api/client'
import type { Product } from '@/api/types'

export function useProduct(id: Ref<number | null>) {
  const kept = new Map<number, Product>()
  const product = shallowRef<Product | null>(null)
  watch(
    id,
    async (now) => {
      product.value = now === null ? null : (kept.get(now) ?? null)
      if (now === null || product.value) return
      try {
        const got = await api.get<Product>(`/products/${now}`)
        kept.set(now, got)
        if (id.value === now) product.value = got
      } catch {
        // the shelf's own line still shows title and price
      }
    },
    { immediate: true },
  )
  return product
}
