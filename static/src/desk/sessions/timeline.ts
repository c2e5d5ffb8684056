// A session's whole life as one list of moments.
import type { Pin, Session } from '@/api/types'

export type Moment =
  | { kind: 'planned' | 'live' | 'ended'; at: string }
  | { kind: 'interrupted'; at: string; to: string | null }
  | { kind: 'pin'; at: string; to: string | null; title: string; anchors: string[] }

/** What happened, oldest first; what was planned comes first of all. */
export function momentsOf(session: Session, pins: readonly Pin[]): Moment[] {
  const moments: Moment[] = []
  if (session.live_at) moments.push({ kind: 'live', at: session.live_at })
  if (session.ended_at) moments.push({ kind: 'ended', at: session.ended_at })
  for (const i of session.interruptions) moments.push({ kind: 'interrupted', at: i.from, to: i.to })
  for (const p of pins) moments.push({ kind: 'pin', at: p.from, to: p.to, title: p.product.title, anchors: p.anchors })
  const order = { planned: 0, live: 1, pin: 2, interrupted: 3, ended: 4 }
  moments.sort((a, b) => Date.parse(a.at) - Date.parse(b.at) || order[a.kind] - order[b.kind])
  return [{ kind: 'planned', at: session.starts_at }, ...moments]
}
