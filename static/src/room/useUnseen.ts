// Pictures that nobody sees are not sent: the page is hidden, or the viewer paused it. Two seconds of patience before they
// stop, none before they come back; the sound goes on.
import { onScopeDispose, watch, type Ref } from 'vue'
import { useDocumentVisibility } from '@vueuse/core'

const patience = 2_000

export function useUnseen(paused: Ref<boolean>, video: (on: boolean) => void): void {
  const page = useDocumentVisibility()
  let timer: ReturnType<typeof setTimeout> | undefined
  watch(
    [page, paused],
    () => {
      clearTimeout(timer)
      const floating = 'pictureInPictureElement' in document && !!document.pictureInPictureElement
      const seen = (page.value === 'visible' || floating) && !paused.value
      if (seen) video(true)
      else timer = setTimeout(() => video(false), patience)
    },
    { immediate: true },
  )
  onScopeDispose(() => clearTimeout(timer))
}
