// Short messages at the foot of the screen: notify('已复制'). With an `undo` they stay five seconds and offer it.
import { ref } from 'vue'
import { locale } from '@/i18n'
import { explain } from './problem'

export interface Notice {
  id: number
  text: string
  kind: 'plain' | 'good' | 'warn'
  act?: { label: string; run: () => void }
}

const shown = 3
let last = 0

export const notices = ref<Notice[]>([])

/** Shows a message for 3.5 s (5 s with an act such as undo). */
export function notify(text: string, kind: Notice['kind'] = 'plain', act?: Notice['act']): void {
  const notice = { id: ++last, text, kind, act }
  notices.value = [...notices.value, notice].slice(-shown)
  setTimeout(() => dismiss(notice.id), act ? 5000 : 3500)
}

/** Shows an error of an act that has no place of its own on the page. */
export function notifyError(error: unknown): void {
  const { title, text } = explain(error)
  notify(`${title}${locale.value === 'en' ? '. ' : '。'}${text}`, 'warn')
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((n) => n.id !== id)
}
