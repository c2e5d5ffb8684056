import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { arrive, expectMovingPicture, look, picture } from './people'

const port = 18082
const base = `http://localhost:${port}`
test.use({ baseURL: base })

let data: string
let server: ChildProcess | undefined

async function start(): Promise<void> {
  server = spawn(
    '../bin/duoduopin',
    [
      'serve',
      '--demo',
      '--migrate',
      '--http-addr',
      `127.0.0.1:${port}`,
      '--media-addr',
      '127.0.0.1:18445',
      '--public-ips',
      '127.0.0.1',
      '--data-dir',
      data,
      '--limits',
      'off',
    ],
    { stdio: 'inherit', env: { ...process.env, DUODUOPIN_DEMO_PASSWORD: 'e2e-password', DUODUOPIN_DATABASE_URL: '' } },
  )
  await expect.poll(async () => (await fetch(`${base}/readyz`).catch(() => null))?.status, { timeout: 120_000 }).toBe(200)
}

async function kill(): Promise<void> {
  if (!server || server.exitCode !== null || server.signalCode !== null) return
  const gone = once(server, 'exit')
  server.kill('SIGKILL')
  await gone
}

test.beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'ddp-restart-'))
  await start()
})

test.afterAll(async () => {
  await kill()
  rmSync(data, { recursive: true, force: true })
})

// kill -9 in the middle of the show: after the start the session, the chat and the order are there, and the anchor and the
// viewer see each other again without touching their pages.
test('the show goes on after kill -9', async ({ browser }) => {
  const anchor = await arrive(browser, 'desk', 'anchor1', base)
  const buyer = await arrive(browser, 'phone', 'buyer1', base)
  const sessions = await (await anchor.request.get('/api/v1/sessions?state=scheduled&mine=1')).json()
  const session = sessions.items.at(-1)
  await anchor.goto(`/studio/${session.id}`)
  await expect(anchor.getByTestId('check-camera')).toHaveAttribute('data-state', 'ok')
  await anchor.getByTestId('go-live').click()
  await expect(anchor.getByTestId('on-air-timer')).toBeVisible()
  await buyer.goto(`/s/${session.id}`)
  await expectMovingPicture(buyer, 'room-video')
  await buyer.getByTestId('chat-input').fill('断电前的一句')
  await buyer.getByTestId('chat-input').press('Enter')
  await expect(anchor.getByTestId('studio-chat')).toContainText('断电前的一句')
  const placed = await buyer.request.post('/api/v1/orders', {
    headers: { 'Idempotency-Key': 'before-the-crash' },
    data: { session_id: session.id, items: [{ sku_id: session.shelf[0].sku_id, quantity: 1 }] },
  })
  expect(placed.status()).toBe(201)
  const order = await placed.json()

  await kill()
  await start()

  const before = (await picture(buyer, 'room-video')).time
  await expect.poll(async () => (await picture(buyer, 'room-video')).time, { timeout: 40_000 }).toBeGreaterThan(before)
  await expectMovingPicture(buyer, 'room-video')
  await expect(buyer.getByTestId('chat-list')).toContainText('断电前的一句')
  await buyer.getByTestId('chat-input').fill('恢复后的一句')
  await buyer.getByTestId('chat-input').press('Enter')
  await expect(anchor.getByTestId('studio-chat')).toContainText('恢复后的一句')
  expect((await (await buyer.request.get(`/api/v1/orders/${order.id}`)).json()).state).toBe('pending')
  const again = await buyer.request.post('/api/v1/orders', {
    headers: { 'Idempotency-Key': 'before-the-crash' },
    data: { session_id: session.id, items: [{ sku_id: session.shelf[0].sku_id, quantity: 1 }] },
  })
  expect((await again.json()).id).toBe(order.id)
  await expect.poll(async () => (await (await buyer.request.get(`/api/v1/sessions/${session.id}`)).json()).state).toBe('live')
  await look(buyer, 'room-after-kill-phone')
})
