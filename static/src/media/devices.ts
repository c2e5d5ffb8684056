// Cameras and microphones: which there are, opening them, and what is wrong when it does not work. Plain TypeScript
// without the framework; the words are the studio's.

/** Why a device is not there. insecure: the page came without HTTPS. denied: the person or the system said no. */
export type DeviceFault = 'insecure' | 'unsupported' | 'denied' | 'missing' | 'busy' | 'unfit' | 'unknown'

export interface Device {
  id: string
  label: string
}

export interface Devices {
  cameras: Device[]
  mics: Device[]
}

export interface Wish {
  camera?: string
  mic?: string
}

/** What could be opened; what could not says why. */
export interface Opened {
  stream: MediaStream
  camera: DeviceFault | null
  mic: DeviceFault | null
}

const picture: MediaTrackConstraints = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } }
const sound: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true }

/** The fault behind an error of getUserMedia. */
export function faultOf(error: unknown): DeviceFault {
  switch ((error as { name?: string } | null)?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied'
    case 'NotFoundError':
      return 'missing'
    case 'NotReadableError':
    case 'AbortError':
      return 'busy'
    case 'OverconstrainedError':
      return 'unfit'
  }
  return 'unknown'
}

const trouble = (): DeviceFault | null => {
  if (!window.isSecureContext) return 'insecure'
  return 'mediaDevices' in navigator ? null : 'unsupported'
}

/** Opens camera and microphone together (one question to the person), else each by itself, so that one may fail alone. */
export async function openDevices(wish: Wish = {}): Promise<Opened> {
  const none = trouble()
  if (none) return { stream: new MediaStream(), camera: none, mic: none }
  const video = wanted(picture, wish.camera)
  const audio = wanted(sound, wish.mic)
  try {
    return { stream: await navigator.mediaDevices.getUserMedia({ video, audio }), camera: null, mic: null }
  } catch {
    const [camera, mic] = [await openOne({ video }), await openOne({ audio })]
    const tracks = [camera.track, mic.track].filter((t) => t !== null)
    return { stream: new MediaStream(tracks), camera: camera.fault, mic: mic.fault }
  }
}

async function openOne(what: MediaStreamConstraints): Promise<{ track: MediaStreamTrack | null; fault: DeviceFault | null }> {
  try {
    const stream = await navigator.mediaDevices.getUserMedia(what)
    return { track: stream.getTracks()[0] ?? null, fault: null }
  } catch (error) {
    return { track: null, fault: faultOf(error) }
  }
}

/** A remembered device that has been unplugged is no reason to fail: ideal, not exact. */
const wanted = (base: MediaTrackConstraints, id?: string): MediaTrackConstraints => (id ? { ...base, deviceId: { ideal: id } } : base)

/** The devices by name; names are empty until one was opened. */
export async function listDevices(): Promise<Devices> {
  if (trouble()) return { cameras: [], mics: [] }
  const all = await navigator.mediaDevices.enumerateDevices()
  const of = (kind: MediaDeviceKind) => all.filter((d) => d.kind === kind && d.deviceId).map((d) => ({ id: d.deviceId, label: d.label }))
  return { cameras: of('videoinput'), mics: of('audioinput') }
}

/** Tells when a device is plugged in or out; the returned function stops. */
export function onDevices(changed: () => void): () => void {
  navigator.mediaDevices?.addEventListener?.('devicechange', changed)
  return () => navigator.mediaDevices?.removeEventListener?.('devicechange', changed)
}

/** How loud samples around zero are, 0..1: silence 0, speech about a half. */
export function loudness(samples: Float32Array): number {
  if (samples.length === 0) return 0
  let sum = 0
  for (const s of samples) sum += s * s
  const db = 20 * Math.log10(Math.sqrt(sum / samples.length) + 1e-6)
  return Math.min(1, Math.max(0, (db + 60) / 55))
}

/** Tells the microphone's level 15 times a second; the returned function stops. */
export function meterLevel(stream: MediaStream, onLevel: (level: number) => void): () => void {
  if (stream.getAudioTracks().length === 0 || !('AudioContext' in window)) return () => {}
  const context = new AudioContext()
  const analyser = context.createAnalyser()
  analyser.fftSize = 1024
  context.createMediaStreamSource(stream).connect(analyser)
  const samples = new Float32Array(analyser.fftSize)
  const wake = () => void context.resume().catch(() => {}) // some browsers want a gesture first
  wake()
  document.addEventListener('pointerdown', wake)
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples)
    onLevel(loudness(samples))
  }, 66)
  return () => {
    clearInterval(timer)
    document.removeEventListener('pointerdown', wake)
    void context.close().catch(() => {})
  }
}

/** How bright RGBA pixels are on average, 0..1. */
export function brightness(pixels: Uint8ClampedArray): number {
  let sum = 0
  for (let i = 0; i + 2 < pixels.length; i += 4) sum += 0.2126 * pixels[i]! + 0.7152 * pixels[i + 1]! + 0.0722 * pixels[i + 2]!
  return pixels.length < 4 ? 0 : sum / (pixels.length >> 2) / 255
}

/** Tells once a second how bright the picture is; the returned function stops. */
export function meterLight(video: () => HTMLVideoElement | null, onLight: (light: number) => void): () => void {
  const canvas = document.createElement('canvas')
  canvas.width = 32
  canvas.height = 18
  const g = canvas.getContext('2d', { willReadFrequently: true })
  const look = () => {
    const v = video()
    if (!g || !v || v.videoWidth === 0) return
    g.drawImage(v, 0, 0, canvas.width, canvas.height)
    onLight(brightness(g.getImageData(0, 0, canvas.width, canvas.height).data))
  }
  const timer = setInterval(look, 1000)
  return () => clearInterval(timer)
}

/** True where the browser can show a screen or window instead of the camera (phones can't). */
export const canShare = (): boolean => 'getDisplayMedia' in (navigator.mediaDevices ?? {})

/** Asks the person which screen or window to show; null when they decided otherwise. */
export async function openScreen(): Promise<MediaStream | null> {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: false })
    for (const track of stream.getVideoTracks()) track.contentHint = 'detail' // letters before motion
    return stream
  } catch {
    return null
  }
}

/** Lets the camera's light go out. */
export function closeStream(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop()
}
