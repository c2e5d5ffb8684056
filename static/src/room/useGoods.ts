// What the room sells, and what the person does with it: seen, opened, bought. Told to the room for the session's report.
import { computed, ref, watch, type ComputedRef } from 'vue'
import type { Session } from '@/api/types'
import { goodsOf, type Good } from '@/shop/shelf'
import type { LiveRoom } from './useRoom'

const mostAtOnce = 50 // products in one message

export function useGoods(session: ComputedRef<Session | null>, room: LiveRoom) {
  const goods = computed(() =>
    goodsOf(
      session.value?.shelf ?? [],
      room.skus.value,
      room.pins.value.map((p) => p.product_id),
    ),
  )
  const opened = ref(0) // product in the buy sheet
  const bag = ref(false)
  const buying = ref(false)
  const wanted = new Set<number>() // seen, not told yet: the line was not open
  const told = new Set<number>()

  /** The product explained last, as it is sold here. */
  const pinned = computed(() => {
    const pin = room.pins.value.at(-1)
    return (pin && goods.value.find((g) => g.product_id === pin.product_id)) ?? null
  })

  /** Tells that products came into sight, each once a visit. */
  function seen(ids: number[]): void {
    ids.filter((id) => !told.has(id)).forEach((id) => wanted.add(id))
    tell()
  }
  function tell(): void {
    const some = [...wanted].slice(0, mostAtOnce)
    if (!room.exposure(some)) return
    for (const id of some) {
      wanted.delete(id)
      told.add(id)
    }
    if (wanted.size > 0) tell()
  }
  watch(room.connection, (now) => now === 'open' && tell())

  function open(good: Good): void {
    opened.value = good.product_id
    bag.value = false
    buying.value = true
    room.click(good.product_id)
  }

  return {
    goods,
    pinned,
    bag,
    buying,
    opened: computed(() => goods.value.find((g) => g.product_id === opened.value) ?? null),
    seen,
    open,
  }
}
