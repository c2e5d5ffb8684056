// What WHIP and WHEP share: the offer in by POST, the answer and the resource out, PATCH for a new path, DELETE at the end
// (RFC 9725). A POST may end at another server (307 to an edge): what belongs to the resource then goes there, with the
// token of that address. Plain TypeScript without the framework.
import { ApiError, problemOf } from '@/api/client'

const bearer = (token?: string): Record<string, string> => (token ? { Authorization: `Bearer ${token}` } : {})
const fragmentType = 'application/trickle-ice-sdpfrag'
const pictureRel = 'urn:duoduopin:whep:picture'

export interface Answer {
  sdp: string
  location: string // the resource's address, empty if the server gave none
  picture: string // where the quality of what is watched is chosen, empty if the server knows no such thing
}

/** RFC 9725, section 4.2. The browser follows a redirect by itself; addresses count from where it ended. */
export async function offer(url: string, sdp: string, token?: string): Promise<Answer> {
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
  const from = response.url || new URL(url, window.location.href).href
  return {
    sdp: await response.text(),
    location: addressOf(response.headers.get('Location'), from),
    picture: addressOf(linkOf(response.headers.get('Link'), pictureRel), from),
  }
}

/** An address as the answer from `from` names it; the token in `from` (an edge's) goes along on the same server. */
export function addressOf(address: string | null, from: string): string {
  if (!address) return ''
  const base = new URL(from)
  const url = new URL(address, base)
  const token = base.searchParams.get('token')
  if (token && url.origin === base.origin && !url.searchParams.has('token')) url.searchParams.set('token', token)
  return url.href
}

/** The target of a relation in a Link header (RFC 8288), null if it is not there. */
export function linkOf(header: string | null, rel: string): string | null {
  for (const [, target, params] of (header ?? '').matchAll(/<([^>]*)>([^<]*)/g))
    if (new RegExp(`;\\s*rel="?(?:[^"]* )?${rel}(?:"| |,|;|$)`).test(params!)) return target!
  return null
}

/** RFC 9725, section 4.3.3: new credentials of ours out, the server's in. Throws ApiError; a 404 means the resource is gone. */
export async function restartIce(location: string, fragment: string): Promise<string> {
  let response: Response
  try {
    response = await fetch(location, {
      method: 'PATCH',
      headers: { 'Content-Type': fragmentType, 'If-Match': '"*"' },
      body: fragment,
      credentials: 'same-origin',
      signal: AbortSignal.timeout(3_000),
    })
  } catch {
    throw new ApiError(0, 'network')
  }
  if (response.status !== 200) throw await problemOf(response)
  return response.text()
}

/** RFC 9725, section 4.3.1. It outlives the page; an answer does not matter, the server notices silence by itself. */
export async function withdraw(location: string, token?: string): Promise<void> {
  if (!location) return
  await fetch(location, { method: 'DELETE', headers: bearer(token), credentials: 'same-origin', keepalive: true }).catch(() => {})
}
