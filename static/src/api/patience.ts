// Asking again, as it is, while the shop says that it is busy for a moment: for requests that may be repeated.
import { ApiError } from './client'

const patience = 2 // more tries
const longestPause = 5 // s

export async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let tried = 0; ; tried++) {
    try {
      return await ask()
    } catch (error) {
      const wait = error instanceof ApiError && error.status === 503 ? error.retryAfter || 1 : 0
      if (!wait || wait > longestPause || tried >= patience) throw error
      await new Promise((resolve) => setTimeout(resolve, wait * 1000))
    }
  }
}
