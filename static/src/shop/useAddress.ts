// Where an order goes: the address used last, another saved one, or a new one typed in place (and saved with the order).
import { computed, ref, shallowRef } from 'vue'
import { emptyAddress, faultsOf, forOrder, proposed } from '@/account/addresses'
import { api } from '@/api/client'
import type { Address, AddressForm, OrderAddress } from '@/api/types'

export function useAddress() {
  const all = shallowRef<Address[]>([])
  const chosen = shallowRef<Address | null>(null)
  const form = ref<AddressForm>(emptyAddress())
  const typing = ref(false) // a new address is being typed
  const checked = ref(false)
  const loaded = ref(false)

  /** Whether the person began to type: an untouched form is no address, and no mistake. */
  const begun = computed(() => [form.value.name, form.value.phone, form.value.detail].some((v) => v.trim() !== ''))

  async function load(): Promise<void> {
    checked.value = false
    try {
      all.value = (await api.get<{ items: Address[] }>('/me/addresses')).items
      chosen.value = all.value.find((a) => a.id === chosen.value?.id) ?? proposed(all.value)
      typing.value = !chosen.value
    } catch {
      typing.value = !chosen.value // the order can be placed with what is typed
    } finally {
      loaded.value = true
    }
  }

  /** False when something typed is not whole; the form then says what. */
  function check(): boolean {
    checked.value = typing.value && begun.value
    return !checked.value || Object.keys(faultsOf(form.value)).length === 0
  }

  /** The address for the order, null for none; a typed one is saved for the next time. */
  async function settle(): Promise<OrderAddress | null> {
    if (!typing.value) return chosen.value && forOrder(chosen.value)
    if (!begun.value) return null
    try {
      chosen.value = await api.post<Address>('/me/addresses', { ...forOrder(form.value), is_default: all.value.length === 0 })
      all.value = [...all.value, chosen.value]
      typing.value = false
      return forOrder(chosen.value)
    } catch {
      return forOrder(form.value) // the order matters more than keeping the address
    }
  }

  function choose(a: Address): void {
    chosen.value = a
    typing.value = false
  }

  function typeNew(): void {
    form.value = emptyAddress()
    checked.value = false
    typing.value = true
  }

  return { all, chosen, form, typing, checked, loaded, begun, load, check, settle, choose, typeNew }
}

export type AddressChoice = ReturnType<typeof useAddress>
