import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, type Page, test } from '@playwright/test'
import { arrive, expectMovingPicture, picture } from './people'

const hosts: string[] = []
const running: ChildProcess[] = []

/** Starts an edge of the server under test and waits until that knows it. */
async function edge(operator: Page, origin: string, http: number, media: number): Promise<ChildProcess> {
  const host = `localhost:${http}`
  const at = ['--http-addr', `127.0.0.1:${http}`, '--media-addr', `127.0.0.1:${media}`, '--public-ips', '127.0.0.1', '--limits', 'off']
  const child = spawn('../bin/duoduopin', ['serve', '--edge-of', origin, '--edge-secret', 'secret-of-the-e2e-edges', ...at], {
    stdio: 'ignore',
  })
  hosts.push(host)
  running.push(child)
  const known = async () => {
    const { items } = (await (await operator.request.get('/api/v1/edges')).json()) as { items: { node: string; alive: boolean }[] }
    return items.some((e) => e.node === host && e.alive)
  }
  await expect.poll(known, { timeout: 20_000 }).toBe(true)
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

test.afterAll(() => running.forEach((c) => c.kill('SIGKILL')))

// A real browser's fetch follows the origin's 307 to another address, and the page finds its way when that is gone.
test('viewers are served by edges, and by the origin when there is none', async ({ browser, baseURL }, info) => {
  const operator = await arrive(browser, 'desk', 'operator')
  const anchor = await arrive(browser, 'desk', 'anchor3')
  const made = await operator.request.post('/api/v1/sessions', {
    data: { title: '从近处看', starts_at: new Date().toISOString(), anchors: ['anchor3'], shelf: [] },
  })
  const { id } = (await made.json()) as { id: number }
  await anchor.goto(`/studio/${id}`)
  await expect(anchor.getByTestId('check-camera')).toHaveAttribute('data-state', 'ok')
  await anchor.getByTestId('go-live').click()
  await expect(anchor.getByTestId('on-air-timer')).toBeVisible()

  // This page was loaded before there was any edge: its policy does not know them.
  const early = await arrive(browser, 'phone')
  await early.goto(`/s/${id}`)
  await expectMovingPicture(early, 'room-video')

  const first = await edge(operator, baseURL!, 18181, 18444)
  const viewer = await arrive(browser, 'phone')
  const served: string[] = []
  viewer.on(
    'response',
    (r) => r.request().method() === 'POST' && r.status() === 201 && r.url().includes('/whep') && served.push(new URL(r.url()).host),
  )
  await viewer.goto(`/s/${id}`)
  await expectMovingPicture(viewer, 'room-video')
  expect(served).toEqual([hosts[0]])

  await test.step('a wish for quality goes to the edge', async () => {
    const wish = viewer.waitForResponse((r) => r.request().method() === 'PUT' && new URL(r.url()).host === hosts[0])
    await viewer.getByTestId('quality').click()
    await viewer.getByTestId('quality-smooth').click()
    expect((await wish).status()).toBeLessThan(300)
  })

  await test.step('a lost edge', async () => {
    await edge(operator, baseURL!, 18182, 18445)
    const before = (await picture(viewer, 'room-video')).time
    const from = Date.now()
    await kill(first)
    await expect.poll(() => served.length, { timeout: 30_000 }).toBeGreaterThan(1)
    await expectMovingPicture(viewer, 'room-video')
    info.annotations.push({
      type: 'edge lost',
      description: `at ${served.at(-1)} after ${Date.now() - from} ms, from ${before.toFixed(1)} s`,
    })
  })

  await test.step('a page whose policy does not know the edges asks the origin itself', async () => {
    const direct = early.waitForResponse((r) => r.status() === 201 && r.url().includes('direct=1'), { timeout: 60_000 })
    await early.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pagehide')))
    await early.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })))
    await direct
    await expectMovingPicture(early, 'room-video')
  })
})
