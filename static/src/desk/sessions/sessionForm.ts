// A session while it is written: what is typed and what goes to the server.
import type { Session } from '@/api/types'
import { fromLocal, nextHour, toLocal } from '../localTime'

export interface SessionForm {
  title: string
  intro: string
  starts_at: string // as in <input type="datetime-local">
  anchors: string[]
}

export const emptyForm = (): SessionForm => ({ title: '', intro: '', starts_at: nextHour(), anchors: [] })

export const formOf = (s: Session): SessionForm => ({
  title: s.title,
  intro: s.intro,
  starts_at: toLocal(s.starts_at),
  anchors: s.anchors.map((a) => a.name),
})

/** Which field is missing, in order; null when all are there. */
export function missing(f: SessionForm): keyof SessionForm | null {
  if (!f.title.trim()) return 'title'
  if (!fromLocal(f.starts_at)) return 'starts_at'
  return f.anchors.length >= 1 && f.anchors.length <= 5 ? null : 'anchors'
}

/** What POST and PATCH take; call it when nothing is missing. */
export const bodyOf = (f: SessionForm) => ({
  title: f.title.trim(),
  intro: f.intro.trim(),
  starts_at: fromLocal(f.starts_at)!,
  anchors: f.anchors,
})
