// Paying one order on a page or sheet: the ways, the chosen one, the payment that was started, and whether the money came.
import { useDocumentVisibility, useIntervalFn } from '@vueuse/core'
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { ApiError } from '@/api/client'
import type { StartedPayment } from '@/api/trade'
import type { Order } from '@/api/types'
import { getOrder, getWays, giveUpPayment, start, type Way } from './pay'

const pace = 2500 // ms between two looks at the order while money is awaited
const memory = 'duoduopin.way'

/** `order` gives the order to pay, null for none; `news` is told every newer state of it. */
export function usePay(order: () => Order | null, news: (now: Order) => void) {
  const ways = shallowRef<Way[]>([])
  const chosen = ref('')
  const loaded = ref(false)
  const busy = ref(false)
  const error = shallowRef<unknown>(null)
  const going = shallowRef<StartedPayment | null>(null) // money is awaited for it
  const abort = new AbortController()
  onScopeDispose(() => abort.abort())

  const way = computed(() => ways.value.find((w) => w.id === chosen.value) ?? null)

  async function load(): Promise<void> {
    if (loaded.value) return
    try {
      ways.value = await getWays(abort.signal)
      chosen.value = (ways.value.find((w) => w.id === remembered()) ?? ways.value[0])?.id ?? ''
      loaded.value = true
    } catch (e) {
      if (!abort.signal.aborted) error.value = e
    }
  }
  watch(
    () => !!order(),
    (there) => there && void load(),
    { immediate: true },
  )
  watch(chosen, (id) => {
    going.value = null
    if (id) remember(id)
  })

  /** Looks whether the money is there. */
  async function look(): Promise<void> {
    const id = order()?.id
    if (!id) return
    const now = await getOrder(id).catch(() => null) // weak network: the next look will tell
    if (!now || order()?.id !== id) return
    if (now.state !== 'pending') {
      ways.value.forEach((w) => giveUpPayment(id, w))
      going.value = null
      polling.pause()
    }
    news(now)
  }
  const polling = useIntervalFn(() => void look(), pace, { immediate: false })
  const visible = useDocumentVisibility()
  watch(visible, (v) => v === 'visible' && going.value && void look())

  /** Pays the chosen way. The sandbox pays at once, unless its page is asked for. */
  async function pay(page = false): Promise<void> {
    const [o, w] = [order(), way.value]
    if (busy.value || !o || !w) return
    busy.value = true
    error.value = null
    try {
      const payment = await start(o.id, w, w.provider === 'sandbox' && !page)
      if (payment?.state === 'pending' && payment.start) go(payment)
      await look()
    } catch (e) {
      error.value = e
      if (e instanceof ApiError && e.status === 409) await look()
    } finally {
      busy.value = false
    }
  }

  function go(payment: StartedPayment): void {
    going.value = payment
    polling.resume()
    if (payment.start?.action === 'redirect' && safe(payment.start.url)) location.assign(payment.start.url)
  }

  /** Gives up the started payment; the next one is a new one. */
  function again(): void {
    const o = order()
    if (o && way.value) giveUpPayment(o.id, way.value)
    going.value = null
    polling.pause()
  }

  return { ways, chosen, way, loaded, busy, error, going, load, pay, look, again }
}

export type Paying = ReturnType<typeof usePay>

/** Only pages of the web are opened, whatever a provider says. */
export function safe(url: string | undefined): url is string {
  try {
    return ['https:', 'http:', 'alipays:', 'weixin:'].includes(new URL(url ?? '', location.href).protocol) && !!url
  } catch {
    return false
  }
}

function remembered(): string {
  try {
    return localStorage.getItem(memory) ?? ''
  } catch {
    return ''
  }
}

function remember(id: string): void {
  try {
    localStorage.setItem(memory, id)
  } catch {
    // the first one next time
  }
}
