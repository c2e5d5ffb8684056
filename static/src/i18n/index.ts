// Words in two languages, zh-CN first. Every folder keeps its own in messages.ts and gets a typed t() for them:
//
//   export const t = messages({ goLive: '开播' }, { goLive: 'Go live' })
//   t('goLive')
//
// A key missing in either language, or asked for and missing in both, does not compile. The words come with the
// folder's own lazy chunk. {name} is a placeholder; "one order | {n} orders" is a plural, chosen by the placeholder n.
// A | in other places than between plurals is not possible. Written by hand because this is all we need: vue-i18n with its
// compiler of messages would be a fifth of what a viewer's phone has to load for the room (19 of 100 KiB).
import { computed, ref, type WritableComputedRef } from 'vue'

export type Locale = 'zh-CN' | 'en'
export const locales: Record<Locale, string> = { 'zh-CN': '中文', en: 'English' }

const memory = 'duoduopin.locale'

function remembered(): Locale {
  try {
    return localStorage.getItem(memory) === 'en' ? 'en' : 'zh-CN'
  } catch {
    return 'zh-CN' // storage is closed to us: private mode
  }
}

const current = ref<Locale>(remembered())

/** The language of the pages; setting it is remembered and told to screen readers. */
export const locale: WritableComputedRef<Locale> = computed({
  get: () => current.value,
  set: (next) => {
    current.value = next
    document.documentElement.lang = next
    try {
      localStorage.setItem(memory, next)
    } catch {
      // not remembered, but set
    }
  },
})

export type Named = Record<string, string | number>

/** A folder's typed t(). Reactive: what renders t() renders again when the language changes. */
export function messages<M extends Record<string, string>>(
  zh: M,
  en: { [K in keyof M]: string },
): (key: keyof M & string, named?: Named) => string {
  return (key, named = {}) => say((current.value === 'en' ? en : zh)[key] ?? zh[key] ?? key, named)
}

/** Fills a message: the right one of its plurals, then the placeholders; a placeholder that was not given stays empty. */
export function say(message: string, named: Named): string {
  const forms = message.split(' | ')
  const form = forms.length > 1 && named.n === 1 ? forms[0]! : forms.at(-1)!
  return form.replace(/\{(\w+)\}/g, (_, name: string) => String(named[name] ?? ''))
}
