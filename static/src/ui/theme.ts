// Light or dark: what the person chose here, else what their system says. Over video and on the live data screen a
// subtree says data-theme="dark" itself.
import { usePreferredDark, useStorage } from '@vueuse/core'
import { computed, watchEffect } from 'vue'

export type Theme = 'auto' | 'light' | 'dark'

const prefersDark = usePreferredDark()

/** The person's choice, remembered. */
export const theme = useStorage<Theme>('duoduopin.theme', 'auto')

export const dark = computed(() => theme.value === 'dark' || (theme.value === 'auto' && prefersDark.value))

/** Keeps the document's theme; called once, by main. */
export function applyTheme(): void {
  watchEffect(() => {
    document.documentElement.dataset.theme = dark.value ? 'dark' : 'light'
  })
}
