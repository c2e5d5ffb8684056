import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '@/api/client'
import type { Order } from '@/api/types'
import { forget, place, type Wish } from './buy'

interface Call {
  method: string
  path: string
  key: string | null
  body: unknown
}

let calls: Call[]
let answers: (() => Response)[]

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  () =>
    new Response(JSON.stringify(body), { status, headers })
const problem = (status: number, code: string, headers: Record<string, string> = {}) => json(status, { type: `https://x/${code}` }, headers)
const order = (state: Order['state'], id = 'o1') => ({ id, state, session_id: 3, total_fen: 9900, items: [] }) as unknown as Order
const wish: Wish = { session_id: 3, items: [{ sku_id: 5, quantity: 1 }], expected_total_fen: 9900 }

beforeEach(() => {
  sessionStorage.clear()
  calls = []
  answers = []
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const headers = init.headers as Headers
    calls.push({
      method: init.method!,
      path: url.replace('/api/v1', ''),
      key: headers.get('Idempotency-Key'),
      body: JSON.parse(String(init.body ?? 'null')),
    })
    return answers.shift()!()
  })
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('place', () => {
  it('repeats with the same key until the order is paid', async () => {
    answers = [json(201, order('pending')), json(201, order('pending'))]
    await place(wish)
    await place(wish)
    expect(calls).toHaveLength(2)
    expect(calls[0]!.key).toMatch(/^[0-9a-f]{32}$/)
    expect(calls[1]!.key).toBe(calls[0]!.key)
    expect(calls[0]!.body).toEqual(wish)
  })
  it('takes a new key for another wish', async () => {
    answers = [json(201, order('pending')), json(201, order('pending', 'o2'))]
    await place(wish)
    await place({ ...wish, items: [{ sku_id: 5, quantity: 2 }] })
    expect(calls[1]!.key).not.toBe(calls[0]!.key)
  })
  it('places anew what was cancelled before', async () => {
    answers = [json(201, order('cancelled')), json(201, order('pending', 'o2'))]
    expect((await place(wish)).id).toBe('o2')
    expect(calls[1]!.key).not.toBe(calls[0]!.key)
  })
  it('waits while the shop is busy, with the same key', async () => {
    vi.useFakeTimers()
    answers = [problem(503, 'busy', { 'Retry-After': '1' }), json(201, order('pending'))]
    const placing = place(wish)
    await vi.advanceTimersByTimeAsync(1000)
    expect((await placing).id).toBe('o1')
    expect(calls[1]!.key).toBe(calls[0]!.key)
  })
  it('takes a new key once the wish is done with', async () => {
    answers = [json(201, order('pending')), json(201, order('pending', 'o2'))]
    await place(wish)
    forget(3)
    await place(wish)
    expect(calls[1]!.key).not.toBe(calls[0]!.key)
  })
  it('tells a refusal at once', async () => {
    answers = [problem(409, 'sold-out')]
    await expect(place(wish)).rejects.toMatchObject({ code: 'sold-out' })
    expect(calls).toHaveLength(1)
  })
  it('keeps the key when no answer came', async () => {
    answers = [
      () => {
        throw new TypeError('network')
      },
      json(201, order('pending')),
    ]
    await expect(place(wish)).rejects.toBeInstanceOf(ApiError)
    await place(wish)
    expect(calls[1]!.key).toBe(calls[0]!.key)
  })
})
