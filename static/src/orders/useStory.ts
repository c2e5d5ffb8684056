// What belongs to an order besides itself: parcels, what was asked after the sale, its invoice and its story. Each part
// may fail for itself; what was there stays.
import { shallowRef } from 'vue'
import { api, ApiError } from '@/api/client'
import type { Aftersale, AftersaleOptions, Invoice, Note, Parcel } from '@/api/trade'

export function useStory(id: string) {
  const parcels = shallowRef<Parcel[]>([])
  const timeline = shallowRef<Note[]>([])
  const options = shallowRef<AftersaleOptions | null>(null)
  const invoice = shallowRef<Invoice | null>(null)
  const error = shallowRef<unknown>(null)

  async function load(): Promise<void> {
    const at = `/orders/${id}`
    const [p, n, o, i] = await Promise.allSettled([
      api.get<{ items: Parcel[] }>(`${at}/parcels`),
      api.get<{ items: Note[] }>(`${at}/timeline`),
      api.get<AftersaleOptions>(`${at}/aftersales`),
      api.get<Invoice>(`${at}/invoice`),
    ])
    if (p.status === 'fulfilled') parcels.value = p.value.items
    if (n.status === 'fulfilled') timeline.value = n.value.items
    if (o.status === 'fulfilled') options.value = o.value
    if (i.status === 'fulfilled') invoice.value = i.value
    else if (i.reason instanceof ApiError && i.reason.status === 404) invoice.value = null
    error.value = [p, n, o].find((r) => r.status === 'rejected')?.reason ?? null
  }
  void load()

  const replace = (r: Aftersale): void => {
    if (options.value) options.value = { ...options.value, items: options.value.items.map((x) => (x.id === r.id ? r : x)) }
  }
  return { parcels, timeline, options, invoice, error, load, replace }
}
