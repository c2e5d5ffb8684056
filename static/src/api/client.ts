// The one fetch of the pages: JSON in and out, errors as ApiError whatever went wrong, the browser's cookie as identity.
// Plain TypeScript without the framework.

export interface FieldError {
  field: string
  detail: string
}

/** An answer that is not a success: a problem (RFC 9457) of the server, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string, // last part of the problem's type, or "offline", "timeout", "network"
    readonly detail = '',
    readonly fields: FieldError[] = [],
    readonly instance = '', // id of the request
    readonly retryAfter = 0, // seconds
  ) {
    super(`${status} ${code}: ${detail}`)
    this.name = 'ApiError'
  }

  /** What the server says of a field, for showing beside it. */
  field(name: string): string | undefined {
    return this.fields.find((f) => f.field === name || f.field.endsWith(`.${name}`))?.detail
  }

  /** True when the same request may be sent again as it is: no answer, or a passing condition of the server. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

export interface Ask {
  query?: Record<string, string | number | boolean | undefined | null>
  body?: unknown // JSON; a FormData or Blob goes as it is
  key?: string // Idempotency-Key
  signal?: AbortSignal
  timeout?: number // ms, 15 s unless told
}

const root = '/api/v1'
let signedOut: () => void = () => {}

/** Sets what happens when the server no longer knows us (401): the account state forgets the user. */
export function onSignedOut(fn: () => void): void {
  signedOut = fn
}

async function call<T>(method: string, path: string, ask: Ask = {}): Promise<T> {
  const url = root + path + queryOf(ask.query)
  const timeout = AbortSignal.timeout(ask.timeout ?? 15_000)
  let response: Response
  try {
    response = await fetch(url, {
      method,
      headers: headersOf(ask),
      body: bodyOf(ask.body),
      credentials: 'same-origin',
      signal: ask.signal ? anyOf([ask.signal, timeout]) : timeout,
    })
  } catch (cause) {
    if (ask.signal?.aborted) throw cause // the caller's own wish
    throw new ApiError(0, navigator.onLine === false ? 'offline' : timeout.aborted ? 'timeout' : 'network')
  }
  if (!response.ok) {
    const error = await problemOf(response)
    if (error.status === 401 && path !== '/login') signedOut()
    throw error
  }
  if (response.status === 204) return undefined as T
  return (await response.json()) as T
}

/** A problem+json answer as ApiError; anything else (a proxy's page) by its status. */
export async function problemOf(response: Response): Promise<ApiError> {
  const retry = Number(response.headers.get('Retry-After')) || 0
  const id = response.headers.get('X-Request-Id') ?? ''
  try {
    const p = (await response.json()) as { type?: string; detail?: string; title?: string; errors?: FieldError[]; instance?: string }
    const code = p.type?.split('/').pop() || 'error'
    return new ApiError(response.status, code, p.detail ?? p.title ?? '', p.errors ?? [], p.instance || id, retry)
  } catch {
    return new ApiError(response.status, 'error', '', [], id, retry)
  }
}

function queryOf(query: Ask['query']): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query ?? {})) if (v !== undefined && v !== null && v !== '') q.set(k, String(v))
  const text = q.toString()
  return text && `?${text}`
}

function headersOf(ask: Ask): Headers {
  const h = new Headers({ Accept: 'application/json' })
  if (ask.body !== undefined && !raw(ask.body)) h.set('Content-Type', 'application/json')
  if (ask.key) h.set('Idempotency-Key', ask.key)
  return h
}

const raw = (body: unknown): body is FormData | Blob => body instanceof FormData || body instanceof Blob

const bodyOf = (body: unknown): BodyInit | undefined => (body === undefined ? undefined : raw(body) ? body : JSON.stringify(body))

/** AbortSignal.any, which older phones lack. */
function anyOf(signals: AbortSignal[]): AbortSignal {
  if ('any' in AbortSignal) return AbortSignal.any(signals)
  const c = new AbortController()
  for (const s of signals) s.addEventListener('abort', () => c.abort(s.reason), { once: true })
  return c.signal
}

export const api = {
  get: <T>(path: string, query?: Ask['query'], ask?: Ask) => call<T>('GET', path, { ...ask, query }),
  post: <T>(path: string, body?: unknown, ask?: Ask) => call<T>('POST', path, { ...ask, body }),
  put: <T>(path: string, body?: unknown, ask?: Ask) => call<T>('PUT', path, { ...ask, body }),
  patch: <T>(path: string, body?: unknown, ask?: Ask) => call<T>('PATCH', path, { ...ask, body }),
  delete: <T = void>(path: string, ask?: Ask) => call<T>('DELETE', path, ask),
}
