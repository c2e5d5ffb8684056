// What the server refused, in the words of this folder where it has some.
import { ApiError } from '@/api/client'
import { reasonOf } from '@/room/refusals'
import { explain } from '@/ui/problem'
import { t } from './messages'

type Words = Parameters<typeof t>[0]
const own = new Set([
  'open-question',
  'too-many-questions',
  'queue-full',
  'own-question',
  'already-voted',
  'poll-closed',
  'draw-not-open',
  'draw-closed',
  'draw-full',
  'draw-buyers-only',
  'draw-not-for-crew',
])
const chat = new Set([
  'muted',
  'banned',
  'silenced',
  'slow-mode',
  'blocked-word',
  'link',
  'repeated',
  'crowd-repeated',
  'new-account',
  'too-fast',
])
const speaking = new Set(['followers-only', 'buyers-only'])

/** One sentence: what went wrong and what to do. */
export function told(error: unknown): string {
  if (error instanceof ApiError) {
    if (own.has(error.code)) return t(error.code as Words)
    if (chat.has(error.code) || speaking.has(error.code)) return reasonOf({ reason: error.code })
    const field = error.fields[0]?.detail
    if (error.status === 422 && field) return field
  }
  const { title, text } = explain(error)
  return `${title} ${text}`
}
