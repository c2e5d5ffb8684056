import { type APIRequestContext, expect } from '@playwright/test'

export interface Made {
  id: number
  product: number
  title: string
  sku: number
}

export const post = async (r: APIRequestContext, path: string, data?: object, want = 2): Promise<Record<string, unknown>> => {
  const res = await r.post(`/api/v1${path}`, { data })
  expect(Math.floor(res.status() / 100), `${path}: ${res.status()} ${await res.text()}`).toBe(want)
  return res.status() === 204 ? {} : await res.json()
}
export const put = async (r: APIRequestContext, path: string, data: object): Promise<void> => {
  const res = await r.put(`/api/v1${path}`, { data })
  expect(res.ok(), `${path}: ${res.status()} ${await res.text()}`).toBe(true)
}

/** A session on the air, with one product explained. */
export async function onAir(staff: APIRequestContext, title: string): Promise<Made> {
  const products = await (await staff.get('/api/v1/products')).json()
  const product = products.items[0]
  const made = await post(staff, '/sessions', {
    title,
    starts_at: new Date().toISOString(),
    anchors: ['anchor1'],
    shelf: [{ sku_id: product.skus[0].id, price_fen: 9900, stock: 30 }],
  })
  const id = made.id as number
  await post(staff, `/sessions/${id}/start`)
  await post(staff, `/sessions/${id}/pins`, { product_id: product.id, anchor: 'anchor1' })
  return { id, product: product.id, title: product.title, sku: product.skus[0].id }
}
