// Why the room refused what was said, in words.
import { t } from './messages'

type Words = Parameters<typeof t>[0]

const known: Record<string, Words> = {
  'sign-in': 'refusedSignIn',
  muted: 'refusedMuted',
  'too-fast': 'refusedFast',
  'too-long': 'refusedLong',
}

export const reasonOf = (reason: string): string => t(known[reason] ?? 'refusedOther')
