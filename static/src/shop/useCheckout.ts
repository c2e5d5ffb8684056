// From a list of goods to a paid order: priced by the server with coupons, points and postage, placed once, paid once.
// Survives double clicks and reloads (see buy.ts and pay/). The sheet of one product and the cart both use it.
import { watchDebounced } from '@vueuse/core'
import { computed, ref, shallowRef } from 'vue'
import { account } from '@/account/account'
import { forOrder, rememberUsed } from '@/account/addresses'
import { ApiError } from '@/api/client'
import type { CartAsk, Quoted } from '@/api/trade'
import type { Order } from '@/api/types'
import { usePay } from '@/pay/usePay'
import { forget, getOrder, openHold, place, quote } from './buy'
import { mostPoints, type CartLine } from './coupons'
import { useAddress } from './useAddress'
import { useDiscounts } from './useDiscounts'

export type CheckoutStep = 'choose' | 'pay' | 'paid'

const calm = 500 // ms a new button refuses clicks, so that a double click does not press it too
const tries = 4 // quotes in a row, each without the coupon that the last one refused

export function useCheckout(sessionId: number, lines: () => CartLine[], ahead: () => number, done: () => void = () => {}) {
  const step = ref<CheckoutStep>('choose')
  const quoted = shallowRef<{ ask: string; answer: Quoted } | null>(null)
  const order = shallowRef<Order | null>(null)
  const error = shallowRef<unknown>(null)
  const busy = ref(false)
  const settling = ref(false) // the pay button has just appeared
  const address = useAddress()
  const discounts = useDiscounts(sessionId, lines, ahead)

  const goods = computed(() => lines().reduce((n, l) => n + l.price_fen * l.quantity, 0))
  const points = ref(0)
  const to = computed(() => (address.typing.value ? null : address.chosen.value))
  const ask = computed<CartAsk>(() => ({
    session_id: sessionId,
    items: lines().map(({ sku_id, quantity }) => ({ sku_id, quantity })),
    ...(discounts.codes.value.length ? { coupons: discounts.codes.value } : {}),
    ...(points.value > 0 ? { points: points.value } : {}),
    ...(to.value ? { address: forOrder(to.value) } : {}),
  }))
  /** The server's prices when they are of this very cart. */
  const fits = computed(() => (quoted.value?.ask === JSON.stringify(ask.value) ? quoted.value.answer : null))
  const breakdown = computed(() => fits.value?.breakdown ?? null)
  const total = computed(() => fits.value?.total_fen ?? goods.value)
  const pricing = ref(false)

  /** Prices the cart; a coupon that the server refuses is left out, and the next best one tried. */
  async function price(): Promise<void> {
    if (!account.user.value || lines().length === 0 || step.value !== 'choose') return
    pricing.value = true
    try {
      for (let n = 0; n < tries && !(await priceOnce()); n++);
    } catch (e) {
      if (e instanceof ApiError && e.status !== 0) error.value = e
    } finally {
      pricing.value = false
    }
  }

  async function priceOnce(): Promise<boolean> {
    const asked = ask.value
    try {
      const answer = await quote(asked)
      quoted.value = { ask: JSON.stringify(asked), answer }
      return setPoints(answer)
    } catch (e) {
      if (!(e instanceof ApiError)) throw e
      if (e.code === 'points' && points.value > 0) {
        points.value = 0
        discounts.usePoints.value = false
        return false
      }
      const code = couponAt(e, asked)
      if (!code) throw e
      discounts.refuse(code)
      return false
    }
  }

  /** The points that fit what the quote says; true when the quote had as many. */
  function setPoints(answer: Quoted): boolean {
    const b = answer.breakdown
    const n = discounts.usePoints.value ? mostPoints(discounts.balance.value, b.goods_fen, b.coupon_fen, b.shipping_fen) : 0
    if (n === points.value) return true
    points.value = n
    return false
  }

  const toAsk = computed(() => [JSON.stringify(ask.value), discounts.usePoints.value].join())
  watchDebounced(toAsk, () => void price(), { debounce: 150 })

  /** Begins anew. */
  function begin(): void {
    step.value = 'choose'
    quoted.value = order.value = error.value = null
    points.value = 0
    discounts.reset()
    if (!account.user.value) return
    void Promise.all([address.load(), discounts.load()]).then(price)
  }

  async function submit(): Promise<void> {
    if (busy.value || lines().length === 0 || !address.check()) return
    busy.value = true
    error.value = null
    try {
      const typed = await address.settle()
      if (!fits.value) await priceNow()
      if (!fits.value) return
      const wish = { ...ask.value, ...(typed ? { address: typed } : {}), expected_total_fen: total.value }
      show(await place(wish))
      if (address.chosen.value) rememberUsed(address.chosen.value.id)
    } catch (e) {
      await refused(e)
    } finally {
      busy.value = false
    }
  }

  /** Prices what has just changed; a price that the buyer has not seen is shown before anything is ordered. */
  async function priceNow(): Promise<void> {
    const shown = total.value
    await price()
    if (!fits.value && !error.value) error.value = new ApiError(0, navigator.onLine === false ? 'offline' : 'network')
    if (fits.value && total.value !== shown) {
      error.value = new ApiError(409, 'price-changed')
      quoted.value = { ...quoted.value! }
      throw error.value
    }
  }

  function show(placed: Order): void {
    order.value = placed
    step.value = placed.state === 'pending' ? 'pay' : 'paid'
    settling.value = true
    setTimeout(() => (settling.value = false), calm)
    if (step.value === 'paid') forget(sessionId)
    done()
  }

  async function refused(e: unknown): Promise<void> {
    error.value = e
    if (!(e instanceof ApiError)) return
    if (e.code === 'idempotency-mismatch') forget(sessionId)
    if (e.code === 'open-hold') {
      order.value = await openHold(
        sessionId,
        lines().map((l) => l.sku_id),
      ).catch(() => null)
      return
    }
    if (e.status === 409) {
      await discounts.load()
      await price()
      error.value = e
    }
  }

  /** Goes on with the unpaid order that stood in the way. */
  function takeHold(): void {
    if (!order.value) return
    error.value = null
    show(order.value)
  }

  const paying = usePay(
    () => (step.value === 'pay' ? order.value : null),
    (now) => {
      order.value = now
      if (now.state === 'pending') return
      forget(sessionId)
      if (now.state === 'cancelled' && now.reason === 'expired') void giveUp()
      else step.value = 'paid'
    },
  )
  const payNow = (): void => void (settling.value || paying.pay())

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
    quoted: fits,
    breakdown,
    total,
    goods,
    points,
    pricing,
    order,
    error,
    busy,
    settling,
    address,
    discounts,
    paying,
    begin,
    submit,
    takeHold,
    payNow,
    giveUp,
  }
}

export type Checkout = ReturnType<typeof useCheckout>

/** Which of the asked coupons a refusal is about. */
function couponAt(e: ApiError, asked: CartAsk): string | undefined {
  const at = e.fields.map((f) => /coupons\[(\d+)\]/.exec(f.field)?.[1]).find((n) => n !== undefined)
  const known = e.code.startsWith('coupon') || e.code === 'promotion-gone'
  return at !== undefined ? asked.coupons?.[Number(at)] : known ? asked.coupons?.at(-1) : undefined
}
