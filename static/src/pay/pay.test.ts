import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { PayMethod } from '@/api/trade'
import { giveUpPayment, start, waysOf, type Way } from './pay'
import { safe } from './usePay'

const kind = (kind: string, action: 'redirect' | 'qr' | 'jsapi', fits: boolean, best = false) => ({ kind, action, fits, best })
const all: PayMethod[] = [
  { provider: 'wechat', kinds: [kind('jsapi', 'jsapi', true, true), kind('native', 'qr', false)] },
  { provider: 'alipay', kinds: [kind('page', 'redirect', true), kind('qr', 'qr', true, true)] },
  { provider: 'sandbox', kinds: [kind('page', 'redirect', true)] },
]
const way: Way = { id: 'alipay.qr', provider: 'alipay', kind: 'qr', action: 'qr' }

describe('waysOf', () => {
  it('offers the best that fits of each provider, and nothing that needs what we do not have', () =>
    expect(waysOf(all).map((w) => w.id)).toEqual(['alipay.qr', 'sandbox.page']))
})

describe('start', () => {
  let keys: string[]
  let answer: () => Response
  beforeEach(() => {
    sessionStorage.clear()
    keys = []
    answer = () => new Response(JSON.stringify({ id: 'p1', state: 'pending', start: { action: 'qr', qr: 'x' } }), { status: 201 })
    vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
      keys.push((init.headers as Headers).get('Idempotency-Key')!)
      return answer()
    })
  })
  afterEach(() => vi.unstubAllGlobals())

  it('repeats with the same key until it is given up', async () => {
    await start('o1', way)
    await start('o1', way)
    giveUpPayment('o1', way)
    await start('o1', way)
    expect(keys[1]).toBe(keys[0])
    expect(keys[2]).not.toBe(keys[0])
  })
  it('takes what is paid already as paid', async () => {
    answer = () => new Response(JSON.stringify({ type: 'https://x/already-paid' }), { status: 409 })
    expect(await start('o1', way)).toBeNull()
  })
})

describe('safe', () => {
  it.each([
    ['https://pay.example/1', true],
    ['/api/v1/payments/sandbox/1/page', true],
    ['weixin://wxpay/x', true],
    ['javascript:alert(1)', false],
    ['', false],
    [undefined, false],
  ])('%s', (url, want) => expect(safe(url)).toBe(want))
})
