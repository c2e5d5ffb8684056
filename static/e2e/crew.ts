import { type Browser, expect, type Page } from '@playwright/test'
import { arrive } from './people'

/** A session that is on air, as its operator made it; nobody publishes, which its crew does not need. */
export async function onAir(browser: Browser, title: string): Promise<{ id: number; product: number; second: number }> {
  const operator = await arrive(browser, 'desk', 'operator')
  const products = (await (await operator.request.get('/api/v1/products')).json()).items
  const made = await operator.request.post('/api/v1/sessions', {
    data: {
      title,
      starts_at: new Date().toISOString(),
      anchors: ['anchor1'],
      shelf: products
        .slice(0, 6)
        .map((p: { skus: { id: number }[] }, i: number) => ({ sku_id: p.skus[0]!.id, price_fen: i === 1 ? 999_999_999 : 9900, stock: 10 })),
    },
  })
  expect(made.status()).toBe(201)
  const { id } = await made.json()
  const started = await operator.request.post(`/api/v1/sessions/${id}/start`)
  expect(started.status(), await started.text()).toBeLessThan(300)
  await operator.context().close()
  return { id, product: products[0].id, second: products[1].id }
}

export async function say(page: Page, text: string): Promise<void> {
  await page.getByTestId('chat-input').fill(text)
  await page.getByTestId('chat-input').press('Enter')
}
