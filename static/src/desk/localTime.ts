// Between RFC 3339 and what <input type="datetime-local"> holds, in the time zone of the person.

const two = (n: number): string => String(n).padStart(2, '0')

/** 2022-07-08T19:00 of an RFC 3339 time; empty for none. */
export function toLocal(at: string | Date | null | undefined): string {
  if (!at) return ''
  const d = new Date(at)
  if (Number.isNaN(d.getTime())) return ''
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}`
}

/** RFC 3339 in UTC of what was typed; null when it is no time. */
export function fromLocal(text: string): string | null {
  const d = new Date(text)
  return text && !Number.isNaN(d.getTime()) ? d.toISOString() : null
}

/** The next full hour, which is when a new session probably starts. */
export function nextHour(now = new Date()): string {
  const d = new Date(now)
  d.setHours(d.getHours() + 1, 0, 0, 0)
  return toLocal(d)
}
