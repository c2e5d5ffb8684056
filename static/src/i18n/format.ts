// Times and numbers as people read them, in the language of the page and the viewer's time zone.
import { locale } from './index'

const cache = new Map<string, Intl.DateTimeFormat>()

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = locale.value + JSON.stringify(options)
  let f = cache.get(key)
  if (!f) cache.set(key, (f = new Intl.DateTimeFormat(locale.value, options)))
  return f
}

/** 19:24 */
export const clockTime = (at: string | number | Date): string =>
  format({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(new Date(at))

/** 19:24:05 */
export const clockSeconds = (at: string | number | Date): string =>
  format({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(new Date(at))

/** 7月8日 */
export const day = (at: string | number | Date): string => format({ month: 'short', day: 'numeric' }).format(new Date(at))

/** 7月8日周五 19:00, with the year when it is not this one */
export function dayAndTime(at: string | number | Date): string {
  const date = new Date(at)
  const year = date.getFullYear() === new Date().getFullYear() ? {} : ({ year: 'numeric' } as const)
  return format({ ...year, month: 'short', day: 'numeric', weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(
    date,
  )
}

/** 12,345 */
export const count = (n: number): string => new Intl.NumberFormat(locale.value).format(n)

/** Short for tight places: 9,999 stays, 12,345 becomes 1.2万 or 12.3K. */
export const shortCount = (n: number): string =>
  n < 10_000 ? count(n) : new Intl.NumberFormat(locale.value, { notation: 'compact', maximumFractionDigits: 1 }).format(n)

/** Seconds as 1:23:45 or 23:45, for timers. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60]
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${two(m)}:${two(s % 60)}`
}
