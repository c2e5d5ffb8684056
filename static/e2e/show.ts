// A shop in the laboratory and a show in it: people with passwords, a session, an anchor's studio and viewers' rooms, all of
// them the real pages in Chromiums of their own, each at its own place of the network.
import { expect, type BrowserContext, type Page, test as base } from '@playwright/test'
import { join } from 'node:path'
import { film } from './camera'
import { watchful } from './eyes'
import { home, Lab, type Place } from './lab'

export interface Session {
  id: number
  anchors: string[]
  sku: number
}

/** The shop of the laboratory: who works there, and how its pages are opened. */
export class Shop {
  readonly passwords = new Map<string, string>()
  readonly tokens = new Map<string, string>()
  readonly camera: string
  readonly url = home
  private viewport = { width: 390, height: 700 }

  constructor(readonly lab: Lab) {
    this.camera = join(lab.folder, 'camera.y4m')
    film(this.camera, { width: 640, height: 360, fps: 15, frames: 45, noise: 0.5 })
  }

  /** From now on cameras film small and seldom and windows are small, so that two processors can hold five anchors. */
  small(): void {
    film(this.camera, { width: 160, height: 90, fps: 5, frames: 30, noise: 0.3 })
    this.viewport = { width: 240, height: 420 }
  }

  hire(name: string, role: string): void {
    const said = this.lab.command('user', 'add', name, '--role', role)
    this.passwords.set(name, said.slice(said.lastIndexOf(' ') + 1))
    this.tokens.set(name, this.lab.command('user', 'token', name))
  }

  /** A JSON request by somebody with a token, from the laboratory's bridge. */
  async ask<T>(who: string, method: string, path: string, body?: unknown, more: Record<string, string> = {}): Promise<T> {
    const headers = { ...more, Authorization: `Bearer ${this.tokens.get(who)}`, 'Content-Type': 'application/json' }
    const res = await fetch(home + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) })
    expect(res.ok, `${method} ${path}: ${res.status}`).toBe(true)
    return (res.status === 204 ? undefined : await res.json()) as T
  }

  async session(...anchors: string[]): Promise<Session> {
    const skus = [{ name: '一份', price_fen: 100, stock: 1000 }]
    const product = await this.ask<{ skus: { id: number }[] }>('operator', 'POST', '/api/v1/products', { title: '奶豆腐', skus })
    const sku = product.skus[0]!.id
    const plan = { title: '坏天气里的一场', starts_at: new Date().toISOString(), anchors, shelf: [{ sku_id: sku }] }
    const made = await this.ask<{ id: number }>('operator', 'POST', '/api/v1/sessions', plan)
    return { id: made.id, anchors, sku }
  }

  /** What the anchors send, layer by layer, in words. */
  async layers(session: Session): Promise<string> {
    interface Layer {
      rid: string
      height: number
      fps: number
      bitrate: number
      viewers: number
      alive: boolean
      kind: string
    }
    const media = await this.ask<{ publishers: { layers: Layer[] }[] }>('operator', 'GET', `/api/v1/sessions/${session.id}/media`)
    const pictures = media.publishers.flatMap((p) => p.layers).filter((l) => l.kind === 'video' && l.alive)
    return pictures.map((l) => `${l.rid || 'one'} ${l.height} lines ${Math.round(l.bitrate / 1000)} kbit/s`).join(', ')
  }

  /** Says something in the shop's name in the room. */
  async notice(session: Session, text: string): Promise<void> {
    await this.ask('operator', 'POST', `/api/v1/sessions/${session.id}/notices`, { text })
  }

  /** Says something in the room, and gives how long after `from` a viewer reads it, ms. */
  async chatAfter(session: Session, page: Page, text: string, from = Date.now()): Promise<number> {
    await this.notice(session, text)
    await expect(page.getByTestId('chat-list')).toContainText(text, { timeout: 90_000 })
    return Date.now() - from
  }

  /** Places an order; the same key again gives the same order. */
  async order(who: string, cart: unknown, key: string): Promise<{ id: string; state: string }> {
    return this.ask(who, 'POST', '/api/v1/orders', cart, { 'Idempotency-Key': key })
  }

  /** A counter of the server. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${home}/metrics`, { headers: { Authorization: 'Bearer lab' } })).text()
    const line = text.split('\n').find((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`))
    return Number(line?.slice(line.lastIndexOf(' ') + 1) ?? NaN)
  }

  /** A page at a place, signed in if a name is given, with what eyes.ts needs in it. */
  async page(place: Place, name?: string): Promise<Page> {
    const context = await place.context(name ? this.camera : undefined, this.viewport)
    await context.addInitScript(watchful)
    if (name) await signIn(context, name, this.passwords.get(name)!)
    return context.newPage()
  }

  /** The anchor's studio, on air. */
  async onAir(place: Place, anchor: string, session: Session): Promise<Page> {
    const page = await this.page(place, anchor)
    await page.goto(`/studio/${session.id}`)
    await expect(page.getByTestId('check-camera')).toHaveAttribute('data-state', 'ok')
    await page.getByTestId('go-live').click()
    await expect(page.getByTestId('on-air-timer')).toBeVisible()
    return page
  }

  /** A viewer's room with a moving picture. */
  async viewer(place: Place, session: Session): Promise<Page> {
    const page = await this.page(place)
    await page.goto(`/s/${session.id}`)
    await moving(page)
    return page
  }
}

/** Waits until pictures are shown one after another. */
export async function moving(page: Page): Promise<void> {
  await expect.poll(() => page.evaluate(() => window.shown.length), { timeout: 30_000 }).toBeGreaterThan(10)
}

async function signIn(context: BrowserContext, name: string, password: string): Promise<void> {
  const res = await context.request.post('/api/v1/login', { data: { name, password } })
  expect(res.status(), `${name} signs in`).toBe(200)
}

/** Writes a row of the table that faults.reporter.ts prints at the end, and fails the test, at its end, if it is not met. */
export function measured(fault: string, accepted: string, value: string, met: boolean): void {
  base.info().annotations.push({ type: 'measured', description: JSON.stringify({ fault, accepted, value, met }) })
  expect.soft(met, `${fault}: ${accepted}; measured: ${value}`).toBe(true)
}

const anchors = ['anchor1', 'anchor2', 'anchor3', 'anchor4', 'anchor5']

/** A test in a laboratory with a shop; the laboratory lasts as long as its worker. */
export const test = base.extend<object, { shop: Shop }>({
  shop: [
    async ({}, use) => {
      const lab = new Lab()
      try {
        await lab.start()
        const shop = new Shop(lab)
        shop.hire('operator', 'operator')
        shop.hire('buyer', 'buyer')
        for (const name of anchors) shop.hire(name, 'anchor')
        await use(shop)
      } finally {
        await lab.close()
      }
    },
    { scope: 'worker', timeout: 120_000 },
  ],
})
