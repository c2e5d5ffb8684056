// Keeping a room friendly: take a line down, mute a person for a while, say something to all. Each act is recorded by the server.
import { api } from '@/api/client'
import type { ChatLine } from '@/room/useRoom'
import { notify } from '@/ui/notify'
import { t } from '../messages'
import { useAct } from '../useLoad'

const muteMinutes = 10

export function useModeration(sessionId: () => number) {
  const { busy, run } = useAct()
  const base = (): string => `/sessions/${sessionId()}`
  return {
    busy,
    remove: (line: ChatLine) => run(() => api.post(`${base()}/messages/${line.seq}/remove`, {}), t('removed')),
    /** Mutes for ten minutes; five seconds to think better of it. */
    async mute(line: ChatLine): Promise<void> {
      const user = line.user
      if (!user?.id) return
      const worked = await run(() => api.post(`${base()}/mutes`, { user: user.id, minutes: muteMinutes }))
      if (!worked) return
      const run_ = (): void => void run(() => api.delete(`${base()}/mutes/${encodeURIComponent(user.id)}`), t('unmuted'))
      notify(t('mutedFor', { name: user.name, n: muteMinutes }), 'plain', { label: t('undo'), run: run_ })
    },
    notice: (text: string) => run(() => api.post(`${base()}/notices`, { text }), t('noticeSent')),
  }
}
