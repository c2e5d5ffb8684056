// What is being written in a room; the tab keeps it over a reload.
import { useSessionStorage } from '@vueuse/core'
import type { Ref } from 'vue'

export const useDraft = (session: number): Ref<string> => useSessionStorage(`duoduopin.draft.${session}`, '')
