// An intent is something a person wants once: this order, this refund. Its Idempotency-Key is made when the wish first
// appears and stays the same over double clicks, retries and reloads, until the wish is fulfilled or changes.

interface Kept {
  key: string
  body: string
}

const prefix = 'duoduopin.intent.'

/** The key of the intent called `name` with this body: the same key for the same body, a new one for another body. */
export function intentKey(name: string, body: unknown, store: Storage = sessionStorage): string {
  const text = JSON.stringify(body)
  const kept = read(name, store)
  if (kept?.body === text) return kept.key
  const key = randomKey()
  try {
    store.setItem(prefix + name, JSON.stringify({ key, body: text } satisfies Kept))
  } catch {
    // storage is full or closed: the key then lasts as long as the caller keeps it
  }
  return key
}

/** Forgets the intent: it was fulfilled, or given up. */
export function fulfilled(name: string, store: Storage = sessionStorage): void {
  store.removeItem(prefix + name)
}

function read(name: string, store: Storage): Kept | null {
  try {
    return JSON.parse(store.getItem(prefix + name) ?? 'null') as Kept | null
  } catch {
    return null
  }
}

/** A random id; randomUUID exists on secure pages only, a trial in a building's network may be plain HTTP. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('')
}
