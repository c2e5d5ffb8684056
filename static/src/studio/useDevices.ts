// The anchor's camera and microphone, as reactive state. Opened once, changed in place, closed with the scope.
import { useStorage } from '@vueuse/core'
import { computed, onScopeDispose, ref, shallowRef, type Ref } from 'vue'
import {
  canShare,
  closeStream,
  type DeviceFault,
  type Devices,
  listDevices,
  meterLevel,
  meterLight,
  onDevices,
  openDevices,
  openScreen,
  type Wish,
} from '@/media/devices'

const audible = 0.2

export function useDevices(video: Ref<HTMLVideoElement | null>) {
  const stream = shallowRef<MediaStream | null>(null)
  const camera = ref<DeviceFault | null>(null)
  const mic = ref<DeviceFault | null>(null)
  const opening = ref(false)
  const devices = shallowRef<Devices>({ cameras: [], mics: [] })
  const wish = useStorage<Wish>('duoduopin.devices', {})
  const level = ref(0)
  const heard = ref(false)
  const quietFor = ref(0)
  const light = ref<number | null>(null)
  const muted = ref(false)
  const screen = shallowRef<MediaStream | null>(null) // shown instead of the camera
  const hidden = ref(false) // the camera is covered by our own wish
  const listeners = new Set<(track: MediaStreamTrack) => void>()
  let stopLevel = (): void => {}
  let gone = false

  async function open(): Promise<void> {
    if (opening.value) return
    opening.value = true
    close()
    const got = await openDevices(wish.value)
    opening.value = false
    if (gone) return closeStream(got.stream)
    take(got.stream)
    camera.value = got.camera
    mic.value = got.mic
    devices.value = await listDevices()
  }

  function take(opened: MediaStream): void {
    stream.value = opened
    for (const track of opened.getTracks()) {
      const fault = track.kind === 'video' ? camera : mic
      track.onended = () => (fault.value = 'missing') // unplugged, or taken by another program
      track.enabled = track.kind === 'video' ? !hidden.value : !muted.value
      if (track.kind !== 'video' || !screen.value) for (const tell of listeners) tell(track)
    }
    let lastSound = Date.now()
    stopLevel = meterLevel(opened, (l) => {
      level.value = l
      if (l > audible) {
        heard.value = true
        lastSound = Date.now()
      }
      quietFor.value = (Date.now() - lastSound) / 1000
    })
  }

  function close(): void {
    stopLevel()
    closeStream(stream.value)
    stream.value = null
    heard.value = false
    level.value = 0
  }

  const enable = (kind: 'audio' | 'video', on: boolean): void => {
    for (const t of stream.value?.getTracks() ?? []) if (t.kind === kind) t.enabled = on
  }

  /** Shows a screen or window instead of the camera, or the camera again; the line stays as it is. */
  async function share(on: boolean): Promise<void> {
    const opened = on ? await openScreen() : null
    if ((on && !opened) || gone) return closeStream(opened)
    closeStream(screen.value)
    screen.value = opened
    const track = (opened ?? stream.value)?.getVideoTracks()[0]
    if (!track) return
    if (opened) track.onended = () => void share(false) // the browser's own "stop sharing"
    for (const tell of listeners) tell(track)
  }

  const stopLight = meterLight(
    () => (hidden.value ? null : video.value),
    (l) => (light.value = l),
  )
  const stopList = onDevices(async () => (devices.value = await listDevices()))
  onScopeDispose(() => {
    gone = true
    stopLight()
    stopList()
    closeStream(screen.value)
    close()
  })

  return {
    stream,
    camera,
    mic,
    opening,
    devices,
    wish,
    level,
    heard,
    quietFor,
    light,
    muted,
    hidden,
    screen,
    canShare: canShare(),
    share,
    ready: computed(() => !!stream.value && stream.value.getTracks().length > 0),
    seen: computed(() => !!stream.value && stream.value.getVideoTracks().length > 0 && !camera.value),
    open,
    close,
    /** Changes a device and remembers it for next time. */
    async pick(kind: keyof Wish, id: string): Promise<void> {
      wish.value = { ...wish.value, [kind]: id }
      await open()
    },
    mute(on: boolean): void {
      muted.value = on
      enable('audio', !on)
    },
    hide(on: boolean): void {
      hidden.value = on
      enable('video', !on)
    },
    /** Tells of every track that is opened from now on: whoever publishes has to send the new one. */
    onTrack(tell: (track: MediaStreamTrack) => void): void {
      listeners.add(tell)
    },
  }
}

export type StudioDevices = ReturnType<typeof useDevices>
