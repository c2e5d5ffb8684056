// Who is signed in: one state for all pages. The browser's cookie is the identity; this is only what the server said.
import { ref, type Ref } from 'vue'
import { api, ApiError, onSignedOut } from '@/api/client'
import type { Role, User } from '@/api/types'

const user: Ref<User | null> = ref(null)
let first: Promise<void> | undefined

/** Asks the server who we are. Without an answer the last known state stays: a weak network signs nobody out. */
async function refresh(): Promise<void> {
  try {
    user.value = (await api.get<{ user: User | null }>('/me')).user
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) user.value = null
  }
}

export const account = {
  user,
  /** Settles when the first answer is there; asks for it when nobody did. */
  ready: (): Promise<void> => (first ??= refresh()),
  refresh,
  async signIn(name: string, password: string): Promise<User> {
    user.value = (await api.post<{ user: User }>('/login', { name, password })).user
    return user.value
  },
  async signOut(): Promise<void> {
    await api.post('/logout')
    user.value = null
  },
}

onSignedOut(() => (user.value = null))

/** May who is signed in act as one of these? An admin counts as operator. */
export function may(...roles: Role[]): boolean {
  const role = user.value?.role
  return !!role && (roles.includes(role) || (role === 'admin' && roles.includes('operator')))
}
