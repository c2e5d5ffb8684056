// What makes a cart cheaper: coupons in my hand (the best proposed), those I may take, and points. The server's quote decides.
import { computed, ref, shallowRef } from 'vue'
import type { HeldCoupon, OfferedCoupon } from '@/api/trade'
import { claimCoupon, myCoupons, myPoints, offeredCoupons } from './buy'
import { bestOf, fitOf, type CartLine } from './coupons'

export function useDiscounts(sessionId: number, lines: () => CartLine[], ahead: () => number) {
  const held = shallowRef<HeldCoupon[]>([])
  const offered = shallowRef<OfferedCoupon[]>([])
  const balance = ref(0)
  const own = shallowRef<string[] | null>(null) // what the buyer chose; null: the proposal
  const refused = shallowRef<ReadonlySet<string>>(new Set()) // by the server, for this cart
  const usePoints = ref(false)
  const claiming = ref(false)

  const fits = computed(() => held.value.map((h) => fitOf(h, lines(), sessionId, Date.now() + ahead())))
  const best = computed(() => bestOf(fits.value, refused.value))
  const codes = computed(() => {
    const usable = new Set(fits.value.filter((f) => !f.fault && !refused.value.has(f.held.code)).map((f) => f.held.code))
    return own.value ? own.value.filter((c) => usable.has(c)) : best.value
  })

  /** Reads what there is; without an answer one buys without. */
  async function load(): Promise<void> {
    const [mine, may, points] = await Promise.allSettled([myCoupons(), offeredCoupons(sessionId), myPoints()])
    if (mine.status === 'fulfilled') held.value = mine.value
    if (may.status === 'fulfilled') offered.value = may.value
    if (points.status === 'fulfilled') balance.value = points.value.balance
  }

  function reset(): void {
    own.value = null
    refused.value = new Set()
    usePoints.value = false
  }

  /** Takes a coupon in or out; of each kind one. */
  function toggle(code: string): void {
    const kind = held.value.find((h) => h.code === code)?.coupon.id
    const others = codes.value.filter((c) => c !== code && held.value.find((h) => h.code === c)?.coupon.id !== kind)
    own.value = codes.value.includes(code) ? codes.value.filter((c) => c !== code) : [...others, code].slice(-3)
  }

  async function claim(id: number): Promise<void> {
    if (claiming.value) return
    claiming.value = true
    try {
      const taken = await claimCoupon(id)
      held.value = [taken, ...held.value]
      own.value = null
    } finally {
      claiming.value = false
      offered.value = await offeredCoupons(sessionId).catch(() => offered.value.filter((c) => c.id !== id))
    }
  }

  const refuse = (code: string): void => void (refused.value = new Set([...refused.value, code]))

  return { held, offered, balance, fits, best, codes, usePoints, claiming, load, reset, toggle, claim, refuse }
}

export type Discounts = ReturnType<typeof useDiscounts>
