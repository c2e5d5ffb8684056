// The refusals of moderation in the reader's words. What is not known here is told as everywhere else.
import { ApiError } from '@/api/client'
import { t } from './messages'

const known = {
  decided: 'refusedDecided',
  undone: 'refusedUndone',
  'no-undo': 'refusedNoUndo',
  'too-late': 'refusedTooLate',
  'same-person': 'refusedSamePerson',
  full: 'refusedFull',
  'session-over': 'refusedOver',
  'not-live': 'refusedOver',
} as const

/** The error with our words as its detail, where we have some. */
export function refusalOf(error: unknown): unknown {
  if (!(error instanceof ApiError)) return error
  const words = (known as Record<string, (typeof known)[keyof typeof known] | undefined>)[error.code]
  return words ? new ApiError(error.status, error.code, t(words), error.fields, error.instance, error.retryAfter) : error
}
