// Buying one product of a session: choose, place, pay, done. Survives double clicks and reloads (see buy.ts).
import { watchDebounced } from '@vueuse/core'
import { computed, ref, shallowRef, watch } from 'vue'
import { rememberUsed } from '@/account/addresses'
import { account } from '@/account/account'
import { ApiError } from '@/api/client'
import type { Order, Quote } from '@/api/types'
import { forget, getOrder, openHold, pay, place, quote } from './buy'
import type { Good } from './shelf'
import { useAddress } from './useAddress'

export type BuyStep = 'choose' | 'pay' | 'paid'

const mostUnits = 99
const calm = 500 // ms a new button refuses clicks, so that a double click does not press it too

export function useBuy(sessionId: number, good: () => Good | null) {
  const step = ref<BuyStep>('choose')
  const skuId = ref(0)
  const quantity = ref(1)
  const quoted = shallowRef<Quote | null>(null)
  const order = shallowRef<Order | null>(null)
  const error = shallowRef<unknown>(null)
  const busy = ref(false)
  const settling = ref(false) // the pay button has just appeared
  const address = useAddress()

  const sku = computed(() => good()?.skus.find((s) => s.sku_id === skuId.value) ?? null)
  const most = computed(() => Math.min(mostUnits, sku.value?.stock ?? 0))
  const items = computed(() => (sku.value ? [{ sku_id: sku.value.sku_id, quantity: quantity.value }] : []))
  /** The server's total when it has priced this very cart, else ours; the server refuses a total that is not true. */
  const fits = computed(() => {
    const line = quoted.value?.items[0]
    return line && line.sku_id === skuId.value && line.quantity === quantity.value ? quoted.value : null
  })
  const unitPrice = computed(() => fits.value?.items[0]?.price_fen ?? sku.value?.price_fen ?? 0)
  const total = computed(() => fits.value?.total_fen ?? unitPrice.value * quantity.value)
  const fresh = computed(() => fits.value?.items[0]?.fresh ?? null)

  /** Begins with a product: its first SKU that can be bought. */
  function begin(): void {
    const skus = good()?.skus ?? []
    skuId.value = (skus.find((s) => s.stock > 0) ?? skus[0])?.sku_id ?? 0
    quantity.value = 1
    step.value = 'choose'
    quoted.value = order.value = error.value = null
    if (account.user.value) void address.load()
  }

  async function ask(): Promise<void> {
    if (!account.user.value || items.value.length === 0 || !sku.value?.stock || step.value !== 'choose') return
    const cart = items.value
    try {
      const answer = await quote(sessionId, cart)
      if (cart === items.value) quoted.value = answer
    } catch {
      // our own sum stands; placing tells what is wrong
    }
  }
  watchDebounced(items, () => void ask(), { debounce: 200 })
  watch(most, (n) => n > 0 && quantity.value > n && (quantity.value = n))

  async function submit(): Promise<void> {
    if (busy.value || !sku.value || !address.check()) return
    busy.value = true
    error.value = null
    try {
      const to = await address.settle()
      show(await place({ session_id: sessionId, items: items.value, expected_total_fen: total.value, address: to ?? undefined }))
      if (address.chosen.value) rememberUsed(address.chosen.value.id)
    } catch (e) {
      await refused(e)
    } finally {
      busy.value = false
    }
  }

  function show(placed: Order): void {
    order.value = placed
    step.value = placed.state === 'pending' ? 'pay' : 'paid'
    if (step.value === 'paid') forget(sessionId)
    settling.value = true
    setTimeout(() => (settling.value = false), calm)
  }

  async function refused(e: unknown): Promise<void> {
    error.value = e
    if (!(e instanceof ApiError)) return
    if (e.code === 'price-changed' || e.code === 'sold-out') await ask()
    if (e.code === 'idempotency-mismatch') forget(sessionId)
    if (e.code === 'open-hold') order.value = await openHold(sessionId, [skuId.value]).catch(() => null)
  }

  /** Goes on with the unpaid order that stood in the way. */
  function takeHold(): void {
    if (!order.value) return
    error.value = null
    show(order.value)
  }

  async function payNow(): Promise<void> {
    if (busy.value || settling.value || !order.value) return
    busy.value = true
    error.value = null
    try {
      order.value = await pay(order.value)
      if (order.value.state !== 'pending') step.value = 'paid'
    } catch (e) {
      error.value = e
      if (e instanceof ApiError && (e.code === 'order-expired' || e.code === 'wrong-state')) await giveUp()
    } finally {
      busy.value = false
    }
  }

  /** The time to pay is over: back to choosing, with a new key. */
  async function giveUp(): Promise<void> {
    if (step.value !== 'pay' || !order.value) return
    const now = await getOrder(order.value.id).catch(() => null)
    if (now && now.state !== 'pending' && now.state !== 'cancelled') {
      order.value = now
      step.value = 'paid'
      return
    }
    forget(sessionId)
    step.value = 'choose'
    error.value ??= new ApiError(409, 'order-expired')
  }

  return {
    step,
    skuId,
    quantity,
    sku,
    most,
    unitPrice,
    total,
    fresh,
    order,
    error,
    busy,
    settling,
    address,
    begin,
    submit,
    takeHold,
    payNow,
    giveUp,
  }
}

export type Buy = ReturnType<typeof useBuy>
