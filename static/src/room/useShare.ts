// Sharing the room: the phone's own sheet where there is one, else the link is copied. Following is kept on this device.
import { useStorage } from '@vueuse/core'
import { computed } from 'vue'
import { notify } from '@/ui/notify'
import { t } from './messages'
import type { LiveRoom } from './useRoom'

export function useShare(room: LiveRoom) {
  return async (title: string): Promise<void> => {
    const url = location.origin + location.pathname
    try {
      if (navigator.share) {
        await navigator.share({ title, text: t('shareText', { title }), url })
      } else {
        await navigator.clipboard.writeText(url)
        notify(t('copied'), 'good')
      }
      room.share()
    } catch (error) {
      if ((error as DOMException).name !== 'AbortError') notify(t('copyFailed'), 'warn')
    }
  }
}

export function useFollow(room: LiveRoom, anchor: () => string) {
  const all = useStorage<string[]>('duoduopin.followed', [])
  const followed = computed(() => all.value.includes(anchor()))
  return {
    followed,
    toggle(): void {
      const name = anchor()
      if (!name) return
      all.value = followed.value ? all.value.filter((n) => n !== name) : [...all.value, name]
      if (followed.value) room.follow(name)
    },
  }
}
