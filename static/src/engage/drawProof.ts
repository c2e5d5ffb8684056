// Draws again from a draw's proof, as docs/protocol.md describes the rule hmac-sha256-rank-1. Needs a secure page: browsers
// give crypto.subtle to no other.
import type { DrawProof } from '@/api/types'

export type Finding = 'okCommitment' | 'okTerms' | 'okEntrants' | 'okWinners' | 'okMine' | 'okSeen'

export interface Checked {
  what: Finding
  ok: boolean
}

/** What was seen of a draw before it took place, if anything. */
export interface Seen {
  commitment: string
  terms_hash: string
}

const rule = 'hmac-sha256-rank-1'
const text = new TextEncoder()

/** Each of the facts that make a draw fair, recomputed. Throws where the browser can't. */
export async function checkDraw(p: DrawProof, seen: Seen | null, myTicket: string): Promise<Checked[]> {
  const seed = bytesOf(p.seed)
  const list = await sha256(text.encode(p.entrants.map((t) => `${t}\n`).join('')))
  const sorted = p.entrants.every((t, i) => i === 0 || p.entrants[i - 1]! < t)
  const promised = Number(/\nwinners: (\d+)\n/.exec(p.terms)?.[1] ?? 0)
  const named = p.terms.includes(`\nrule: ${p.rule}\ncommitment: ${p.commitment}\n`)
  const ranked = await rank(p.entrants, seed, list)
  const findings: Checked[] = [
    { what: 'okCommitment', ok: seed.length === 32 && hex(await sha256(seed)) === p.commitment },
    { what: 'okTerms', ok: p.rule === rule && named && hex(await sha256(text.encode(p.terms))) === p.terms_hash },
    { what: 'okEntrants', ok: sorted && hex(list) === p.entrants_hash },
    { what: 'okWinners', ok: promised > 0 && ranked.slice(0, promised).join() === p.winners.join() },
  ]
  if (seen) findings.push({ what: 'okSeen', ok: seen.commitment === p.commitment && seen.terms_hash === p.terms_hash })
  if (myTicket) findings.push({ what: 'okMine', ok: p.entrants.includes(myTicket) })
  return findings
}

/** Tickets by their score, the lowest first. */
async function rank(tickets: string[], seed: Uint8Array<ArrayBuffer>, list: Uint8Array<ArrayBuffer>): Promise<string[]> {
  if (seed.length === 0) return []
  const key = await crypto.subtle.importKey('raw', seed, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const scores = new Map<string, string>()
  const message = new Uint8Array(list.length + 8)
  message.set(list)
  const number = new DataView(message.buffer)
  for (const [i, ticket] of tickets.entries()) {
    number.setUint32(list.length + 4, i) // of the eight bytes the upper four stay 0: there are no 2^32 tickets
    scores.set(ticket, hex(new Uint8Array(await crypto.subtle.sign('HMAC', key, message))))
  }
  return [...tickets].sort((a, b) => (scores.get(a)! < scores.get(b)! ? -1 : 1))
}

const sha256 = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))

const hex = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('')

const bytesOf = (hexText: string): Uint8Array<ArrayBuffer> =>
  /^([0-9a-f]{2})*$/.test(hexText) ? Uint8Array.from(hexText.match(/../g) ?? [], (h) => parseInt(h, 16)) : new Uint8Array()
