// The names of what the server tells by codes.
import { t } from './messages'

type Words = Parameters<typeof t>[0]

const actKinds: Record<string, Words> = {
  remove: 'act_remove',
  restore: 'act_restore',
  mute: 'act_mute',
  unmute: 'act_unmute',
  ban: 'act_ban',
  unban: 'act_unban',
  approve: 'act_approve',
  reject: 'act_reject',
  silence: 'act_silence',
  unsilence: 'act_unsilence',
  controls: 'act_controls',
  notice: 'act_notice',
  undo: 'act_undo',
}
const heldReasons: Record<string, Words> = {
  'blocked-word': 'why_word',
  link: 'why_link',
  review: 'why_review',
  repeated: 'why_repeated',
  'crowd-repeated': 'why_repeated',
}
const undoable = new Set(['remove', 'mute', 'ban', 'reject'])
const undoMs = 10 * 60_000 // as the server bounds it

export const actName = (kind: string): string => (actKinds[kind] ? t(actKinds[kind]) : kind)
export const heldReason = (reason: string): string => (heldReasons[reason] ? t(heldReasons[reason]) : reason)

/** Whether the act can still be taken back. */
export const mayUndo = (a: { kind: string; at: string; undone_by?: number }, now: number): boolean =>
  undoable.has(a.kind) && !a.undone_by && now - Date.parse(a.at) < undoMs
