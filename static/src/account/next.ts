// Where a person goes after signing in.
import type { User } from '@/api/types'

/** The address asked for, when it is one of ours; else the place of the person's work. */
export function placeAfterSignIn(next: unknown, user: User): string {
  if (typeof next === 'string' && /^\/(?![/\\])/.test(next) && !next.startsWith('/login')) return next
  if (user.role === 'anchor') return '/studio'
  return user.role === 'buyer' ? '/' : '/desk'
}
