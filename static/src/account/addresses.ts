// A person's addresses: what a form needs to hold, and which one was used last on this device.
import type { Address, AddressForm, OrderAddress } from '@/api/types'

export type AddressFault = 'needed' | 'badPhone'

const parts = ['name', 'phone', 'province', 'city', 'district', 'detail'] as const

/** An address to begin with: the city of our shop, where most buyers live. */
export const emptyAddress = (): AddressForm => ({
  name: '',
  phone: '',
  province: '内蒙古自治区',
  city: '鄂尔多斯市',
  district: '康巴什区',
  detail: '',
  is_default: false,
})

/** What is missing or wrong, by field; empty when the address is whole. The server checks again. */
export function faultsOf(a: OrderAddress): Partial<Record<(typeof parts)[number], AddressFault>> {
  const faults: Partial<Record<(typeof parts)[number], AddressFault>> = {}
  for (const p of parts) if (!a[p].trim()) faults[p] = 'needed'
  if (!faults.phone && !/^\+?[\d\- ]{5,20}$/.test(a.phone.trim())) faults.phone = 'badPhone'
  return faults
}

/** Only what an order takes of an address. */
export const forOrder = (a: OrderAddress): OrderAddress => ({
  name: a.name,
  phone: a.phone,
  province: a.province,
  city: a.city,
  district: a.district,
  detail: a.detail,
})

/** An address in one line. */
export const lineOf = (a: OrderAddress): string => [a.province, a.city, a.district, a.detail].filter(Boolean).join(' ')

const memory = 'duoduopin.address'

/** The address to propose: the one used last here, else the default, else the first. */
export function proposed(all: Address[]): Address | null {
  let last = ''
  try {
    last = localStorage.getItem(memory) ?? ''
  } catch {
    // storage is closed to us: the default will do
  }
  return all.find((a) => String(a.id) === last) ?? all.find((a) => a.is_default) ?? all[0] ?? null
}

export function rememberUsed(id: number): void {
  try {
    localStorage.setItem(memory, String(id))
  } catch {
    // not remembered
  }
}
