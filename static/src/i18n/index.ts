// Words in two languages, zh-CN first. Every folder keeps its own in messages.ts and gets a typed t() for them:
//
//   export const t = messages('studio', { goLive: '开播' }, { goLive: 'Go live' })
//   t('goLive')
//
// A key missing in either language, or asked for and missing in both, does not compile. The words come with the
// folder's own lazy chunk. {name} is a placeholder; "one order | {n} orders" is a plural, chosen by the placeholder n.
// Mind that @ { } | are special in messages: write {'@'} for a plain one.
import { computed, type WritableComputedRef } from 'vue'
import { createI18n } from 'vue-i18n'

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

export const i18n = createI18n({
  legacy: false,
  locale: remembered(),
  fallbackLocale: 'zh-CN',
  messages: { 'zh-CN': {}, en: {} },
  missingWarn: false,
  fallbackWarn: false,
})

/** The language of the pages; setting it is remembered and told to screen readers. */
export const locale: WritableComputedRef<Locale> = computed({
  get: () => i18n.global.locale.value as Locale,
  set: (next) => {
    i18n.global.locale.value = next
    document.documentElement.lang = next
    try {
      localStorage.setItem(memory, next)
    } catch {
      // not remembered, but set
    }
  },
})

export type Named = Record<string, string | number>

/** Adds a folder's words and returns its typed t(). Reactive: what renders t() renders again when the language changes. */
export function messages<M extends Record<string, string>>(
  folder: string,
  zh: M,
  en: { [K in keyof M]: string },
): (key: keyof M & string, named?: Named) => string {
  i18n.global.mergeLocaleMessage('zh-CN', { [folder]: zh })
  i18n.global.mergeLocaleMessage('en', { [folder]: en })
  return (key, named = {}) => {
    const path = `${folder}.${key}`
    return typeof named.n === 'number' ? i18n.global.t(path, named, named.n) : i18n.global.t(path, named)
  }
}
