// The carriers that the desk knows, fetched once.
import { computed, shallowRef } from 'vue'
import { api } from '@/api/client'
import type { Carrier } from '@/api/desk'
import type { Page } from '@/api/types'
import { locale } from '@/i18n'

const known = shallowRef<Carrier[]>([])
let asked: Promise<void> | undefined

async function ask(): Promise<void> {
  try {
    known.value = (await api.get<Page<Carrier>>('/fulfilment/carriers')).items
  } catch {
    asked = undefined // the next one who needs them asks again
  }
}

/** The list as options in the page's language. */
export function useCarriers() {
  asked ??= ask()
  return computed(() => known.value.map((c) => ({ value: c.code, label: locale.value === 'en' ? c.name_en : c.name_zh })))
}
