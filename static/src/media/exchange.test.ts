import { afterEach, describe, expect, it, vi } from 'vitest'
import { addressOf, linkOf, offer } from './exchange'

const rel = 'urn:duoduopin:whep:picture'

describe('linkOf', () => {
  it.each([
    [`</a/picture>; rel="${rel}"`, '/a/picture'],
    [`</x>; rel="other", </a/picture>; rel="${rel}"`, '/a/picture'],
    [`</a/picture>; rel=${rel}`, '/a/picture'],
    [`</a/picture>; rel="first ${rel}"`, '/a/picture'],
    ['</x>; rel="other"', null],
    ['', null],
    [null, null],
  ])('%s', (header, want) => expect(linkOf(header, rel)).toBe(want))
})

describe('addressOf', () => {
  it.each([
    ['/whep/r', 'https://shop.example/whep', 'https://shop.example/whep/r'],
    ['/whep/r', 'https://edge.example/whep?token=abc', 'https://edge.example/whep/r?token=abc'],
    ['/whep/r?token=own', 'https://edge.example/whep?token=abc', 'https://edge.example/whep/r?token=own'],
    ['https://other.example/r', 'https://edge.example/whep?token=abc', 'https://other.example/r'], // no business of theirs
    [null, 'https://shop.example/whep', ''],
  ])('%s from %s', (address, from, want) => expect(addressOf(address, from)).toBe(want))
})

describe('offer', () => {
  afterEach(() => vi.unstubAllGlobals())
  it('takes the resource from where the redirect ended', async () => {
    const headers = { Location: '/api/v1/sessions/7/whep/r', Link: `</api/v1/sessions/7/whep/r/picture>; rel="${rel}"` }
    const response = new Response('answer', { status: 201, headers })
    Object.defineProperty(response, 'url', { value: 'https://edge.example/api/v1/sessions/7/whep?token=t' })
    vi.stubGlobal('fetch', async () => response)
    expect(await offer('/api/v1/sessions/7/whep', 'offer')).toEqual({
      sdp: 'answer',
      location: 'https://edge.example/api/v1/sessions/7/whep/r?token=t',
      picture: 'https://edge.example/api/v1/sessions/7/whep/r/picture?token=t',
    })
  })
  it('says what an unreachable server is', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('refused')))
    await expect(offer('/x', 'offer')).rejects.toMatchObject({ status: 0, code: 'network', passing: true })
  })
})
