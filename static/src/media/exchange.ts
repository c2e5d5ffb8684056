// What WHIP and WHEP share: the offer in by POST, the answer and the resource out, DELETE at the end (RFC 9725).
import { ApiError, problemOf } from '@/api/client'

const bearer = (token?: string): Record<string, string> => (token ? { Authorization: `Bearer ${token}` } : {})

/** RFC 9725, section 4.2. location is the resource's address, empty if the server gave none. */
export async function offer(url: string, sdp: string, token?: string): Promise<{ sdp: string; location: string }> {
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', Accept: 'application/sdp', ...bearer(token) },
      body: sdp,
      credentials: 'same-origin',
      signal: AbortSignal.timeout(10_000),
    })
  } catch {
    throw new ApiError(0, 'network')
  }
  if (response.status !== 201) throw await problemOf(response)
  const location = response.headers.get('Location')
  return { sdp: await response.text(), location: location ? new URL(location, response.url || window.location.href).href : '' }
}

/** RFC 9725, section 4.3.1. It outlives the page; an answer does not matter, the server notices silence by itself. */
export async function withdraw(location: string, token?: string): Promise<void> {
  if (!location) return
  await fetch(location, { method: 'DELETE', headers: bearer(token), credentials: 'same-origin', keepalive: true }).catch(() => {})
}
