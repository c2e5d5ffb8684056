import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { PictureLine, type PictureWish } from './picture'

let told: { url: string; wish: PictureWish }[]
let status: number
const height = vi.fn()
const line = () => new PictureLine({ quality: 'auto', video: true, focus: '' }, height)
const settle = () => vi.advanceTimersByTimeAsync(0)

beforeEach(() => {
  vi.useFakeTimers()
  told = []
  status = 200
  height.mockClear()
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const wish = JSON.parse(String(init.body)) as PictureWish
    told.push({ url, wish })
    return new Response(JSON.stringify({ ...wish, height: 360 }), { status })
  })
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

it('tells nothing of what a new connection is like anyway', async () => {
  line().use('/p')
  await settle()
  expect(told).toEqual([])
})
it('tells the newest wish, one call at a time, and what came of it', async () => {
  const l = line()
  l.use('/p')
  l.want({ quality: 'smooth' })
  l.want({ quality: 'clear' })
  l.want({ video: false })
  await settle()
  expect(told.map((t) => t.wish)).toEqual([
    { quality: 'smooth', video: true, focus: '' },
    { quality: 'clear', video: false, focus: '' },
  ])
  expect(height).toHaveBeenCalledWith(360)
})
it('tells the next connection again', async () => {
  const l = line()
  l.use('/p')
  l.want({ quality: 'smooth' })
  await settle()
  l.use('')
  l.use('/q')
  await settle()
  expect(told.map((t) => t.url)).toEqual(['/p', '/q'])
})
it.each([404, 405])('leaves a server alone that answers %i', async (no) => {
  status = no
  const l = line()
  l.use('/p')
  l.want({ quality: 'smooth' })
  await settle()
  l.want({ quality: 'clear' })
  await vi.advanceTimersByTimeAsync(60_000)
  expect(told).toHaveLength(1)
  expect(l.open).toBe(false)
})
it('repeats what did not get through', async () => {
  status = 503
  const l = line()
  l.use('/p')
  l.want({ quality: 'smooth' })
  await settle()
  status = 200
  await vi.advanceTimersByTimeAsync(2_000)
  expect(told.map((t) => t.wish.quality)).toEqual(['smooth', 'smooth'])
})
