// What the crew does to words and people. Each act is asked first (its effect, a reason), then done, then can be taken back for
// five seconds from the foot of the screen, and for ten minutes from the list of acts.
import { shallowRef } from 'vue'
import { api, ApiError } from '@/api/client'
import type { Act } from '@/api/moderation'
import type { Page } from '@/api/types'
import { notify, notifyError } from '@/ui/notify'
import { t } from './messages'
import { refusalOf } from './refusals'

/** Whom or what an act is about. */
export interface Target {
  seq?: number
  heldId?: number
  user?: string
  name?: string
  text?: string
}

export type Kind = 'remove' | 'sweep' | 'mute' | 'ban' | 'reject' | 'silence' | 'undo'

export interface Asked extends Target {
  kind: Kind
  act?: Act // to take back
}

export interface Answer {
  reason: string
  minutes: number
  everywhere: boolean
}

const path: Record<Exclude<Kind, 'undo' | 'reject' | 'silence'>, (a: Asked) => string> = {
  remove: (a) => `messages/${a.seq}/remove`,
  sweep: (a) => `messages/${a.seq}/sweep`,
  mute: () => 'mutes',
  ban: () => 'bans',
}

/** The acts of a session's crew. `done` is told when something was done. */
export function useActs(sessionId: () => number, done: () => void = () => {}) {
  const asked = shallowRef<Asked | null>(null)
  const busy = shallowRef(false)
  const error = shallowRef<unknown>(null)
  const room = (): string => `/sessions/${sessionId()}/moderation`

  async function attempt(what: () => Promise<unknown>, quiet = false): Promise<boolean> {
    if (busy.value) return false
    busy.value = true
    error.value = null
    try {
      await what()
      done()
      return true
    } catch (e) {
      error.value = refusalOf(e)
      if (!quiet) tell(e)
      return false
    } finally {
      busy.value = false
    }
  }

  function send(a: Asked, { reason, minutes, everywhere }: Answer): Promise<unknown> {
    if (a.kind === 'undo') return api.post(`/moderation/acts/${a.act!.id}/undo`, { reason })
    if (a.kind === 'reject') return api.post(`/moderation/held/${a.heldId}/reject`, { reason })
    if (a.kind === 'silence') return api.post(`${room()}/silence`, { reason })
    const body = a.kind === 'mute' ? { user: a.user, minutes } : a.kind === 'ban' ? { user: a.user, minutes, everywhere } : {}
    return api.post(`${room()}/${path[a.kind](a)}`, { ...body, reason })
  }

  /** Takes back the newest act of this kind upon this target. */
  async function takeBack(a: Asked): Promise<void> {
    await attempt(async () => {
      if (a.kind === 'silence') return api.delete(`${room()}/silence`)
      const acts = await api.get<Page<Act>>(`${room()}/acts`, { limit: 50, user: a.user })
      const found = acts.items.filter((x) => isOf(x, a))
      if (found.length === 0) throw new ApiError(404, 'not-found')
      const reason = t('slip')
      for (const x of a.kind === 'sweep' ? found : found.slice(0, 1)) await api.post(`/moderation/acts/${x.id}/undo`, { reason })
      notify(t('takenBack'), 'good')
    })
  }

  async function confirm(answer: Answer): Promise<void> {
    const a = asked.value
    if (!a || !(await attempt(() => send(a, answer), true))) return
    asked.value = null
    const undo = a.kind === 'undo' || a.kind === 'sweep' ? undefined : { label: t('undo'), run: () => void takeBack(a) }
    notify(t(`did_${a.kind}`, { name: a.name ?? '' }), 'good', undo)
  }

  return {
    asked,
    busy,
    error,
    attempt,
    confirm,
    ask(a: Asked): void {
      error.value = null
      asked.value = a
    },
    unsilence: () => attempt(() => api.delete(`${room()}/silence`)),
    approve: (heldId: number) => attempt(() => api.post(`/moderation/held/${heldId}/approve`)),
    unban: (user: string, everywhere: boolean) =>
      attempt(() => api.delete(`${room()}/bans/${user}?everywhere=${everywhere}&reason=${encodeURIComponent(t('slip'))}`)),
  }
}

const isOf = (x: Act, a: Asked): boolean =>
  x.kind === a.kind &&
  !x.undone_by &&
  (a.seq === undefined || a.kind !== 'remove' || x.seq === a.seq) &&
  (!a.heldId || x.held_id === a.heldId)

/** Says at the foot of the screen what a refusal means here. */
function tell(e: unknown): void {
  notifyError(refusalOf(e))
}

export type Acts = ReturnType<typeof useActs>
