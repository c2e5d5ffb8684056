// The buyer's way by people's steps: pin to paid in three taps, coupon and points, a cart that outlives a reload, sold out,
// cancel, pay again, refund request, invoice.
import { type APIRequestContext, type Browser, expect, type Page, test } from '@playwright/test'
import { arrive, look } from './people'

test.describe.configure({ mode: 'serial' })

interface Show {
  id: number
  product: number
  skus: number[]
}

let show: Show
let desk: APIRequestContext

async function post<T>(path: string, data: unknown, key?: string): Promise<T> {
  const res = await desk.post(`/api/v1${path}`, { data, headers: key ? { 'Idempotency-Key': key } : {} })
  expect(res.ok(), `${path}: ${res.status()} ${await res.text()}`).toBe(true)
  return (await res.json()) as T
}

async function enter(browser: Browser, name: string): Promise<Page> {
  const page = await arrive(browser, 'phone', name)
  await page.goto(`/s/${show.id}`)
  await expect(page.getByTestId('pin-card')).toBeVisible()
  return page
}

test.beforeAll(async ({ browser }) => {
  const operator = await arrive(browser, 'desk', 'operator')
  desk = operator.request
  const product = await post<{ id: number; skus: { id: number }[] }>('/products', {
    title: '买家走查用的一款名字特别特别长的羊绒围巾，冬天草原上也暖和的那一种，四十字',
    skus: [
      { name: '米白', price_fen: 19_900, stock: 50 },
      { name: '驼色', price_fen: 999_999_999, stock: 50 },
      { name: '绛红', price_fen: 12_850, stock: 1 },
    ],
  })
  const skus = product.skus.map((s) => s.id)
  const made = await post<{ id: number }>('/sessions', {
    title: '买家走查的一场',
    starts_at: new Date().toISOString(),
    anchors: ['anchor1'],
    shelf: skus.map((sku_id) => ({ sku_id })),
  })
  show = { id: made.id, product: product.id, skus }
  await post(`/sessions/${show.id}/start`, {})
  await post(`/sessions/${show.id}/pins`, { product_id: product.id, anchor: 'anchor1' })
  const until = new Date(Date.now() + 86_400_000).toISOString()
  await post('/coupons', {
    title: '走查满百减二十',
    off_fen: 2_000,
    threshold_fen: 10_000,
    until,
    claimable: true,
    sessions: [show.id],
    per_person: 1,
  })
  await post('/points', { account: 'buyer1', points: 500, reason: '走查' }, `walk-${show.id}`)
})

test('pin to paid: an address once, coupon and points; a second click buys nothing twice', async ({ browser }) => {
  const page = await enter(browser, 'buyer1')
  await page.getByTestId('pin-buy').click()
  const sheet = page.getByTestId('buy-sheet')
  await expect(sheet.getByTestId('order-place')).toBeVisible()
  await page.getByTestId('coupons').click()
  await sheet.getByRole('button', { name: /领取/ }).click()
  await expect(sheet).toContainText('−¥20')
  await page.getByTestId('use-points').check()
  await expect(page.getByTestId('buy-total')).toContainText('174')
  await look(page, 'buyer-choose-phone')
  await page.getByTestId('order-place').dblclick()
  await expect(page.getByTestId('order-pay')).toBeEnabled()
  await look(page, 'buyer-pay-phone')
  await page.getByTestId('order-pay').dblclick()
  await expect(page.getByTestId('order-paid')).toBeVisible()
  await look(page, 'buyer-paid-phone')
  const mine = await (await page.request.get(`/api/v1/orders?session_id=${show.id}&mine=1`)).json()
  expect(mine.items).toHaveLength(1)
  expect(mine.items[0]).toMatchObject({ state: 'paid', total_fen: 17_400 })
  await page.getByRole('button', { name: '继续看直播' }).click()
  await expect(page.getByTestId('pin-card')).toBeVisible()

  await test.step('the order: breakdown, refund request once, invoice', async () => {
    await page.goto(`/orders/${mine.items[0].id}`)
    await expect(page.getByTestId('order-state')).toHaveText('待发货')
    await look(page, 'buyer-order-phone')
    await page.getByTestId('aftersale-ask').click()
    await look(page, 'buyer-aftersale-phone')
    await page.getByTestId('aftersale-send').dblclick()
    await expect(page.getByTestId('aftersale-requested')).toHaveCount(1)
    await page.getByTestId('aftersale-withdraw').click()
    await expect(page.getByTestId('aftersale-withdrawn')).toHaveCount(1)
    await page.getByTestId('invoice-ask').click()
    await page.locator('input[name=title]').fill('走查买家')
    await page.locator('input[name=email]').fill('buyer@example.org')
    await look(page, 'buyer-invoice-phone')
    await page.getByTestId('invoice-save').click()
    await expect(page.getByText('等待开票')).toBeVisible()
  })
  await page.goto('/me')
  await expect(page.getByText('走查满百减二十').first()).toBeVisible()
  await look(page, 'buyer-me-phone')
  await page.context().close()
})

test('an address is picked by province, city and district', async ({ browser }) => {
  const page = await arrive(browser, 'phone', 'buyer2')
  await page.goto('/me')
  await page.getByRole('button', { name: '添加地址' }).click()
  await page.locator('input[name=receiver]').fill('走查买家')
  await page.locator('input[name=phone]').fill('13800000000')
  await page.locator('select[name=province]').selectOption('浙江省')
  await page.locator('select[name=city]').selectOption('杭州市')
  await page.locator('select[name=district]').selectOption('西湖区')
  await page.locator('textarea[name=detail], input[name=detail]').fill('某路一号')
  await look(page, 'buyer-address-phone')
  await page.getByRole('button', { name: '保存', exact: true }).click()
  await expect(page.getByText('浙江省 杭州市 西湖区 某路一号')).toBeVisible()
  await page.context().close()
})

test('a cart of two outlives a reload; unpaid, it is paid later by the sandbox page, or cancelled', async ({ browser }) => {
  const page = await enter(browser, 'buyer2')
  await page.getByTestId('pin-buy').click()
  await page.getByTestId('cart-add').click()
  await page.getByTestId('pin-buy').click()
  await page.getByText('绛红').click()
  await page.getByTestId('cart-add').click()
  await page.reload()
  await page.getByRole('button', { name: /商品/ }).first().click()
  await page.getByTestId('cart-open').click()
  const cart = page.getByTestId('cart-sheet')
  await expect(cart.getByRole('listitem').filter({ hasText: '绛红' })).toBeVisible()
  await expect(page.getByTestId('buy-total')).toContainText('327')
  await look(page, 'buyer-cart-phone')
  await page.getByTestId('cart-place').click()
  await expect(page.getByTestId('order-pay')).toBeVisible()
  await page.goto('/orders')
  await expect(page.getByRole('link', { name: '去付款' }).first()).toBeVisible()
  await look(page, 'buyer-orders-phone')
  await page.getByRole('link', { name: '去付款' }).first().click()
  await page.getByTestId('pay-page').click()
  await page.waitForURL(/sandbox/)
  await page.getByRole('button', { name: /支付成功/ }).click()
  await page.waitForURL(/orders/)
  await expect(page.getByTestId('order-state')).toHaveText('待发货')
  await page.context().close()
})

test('sold out is told kindly; the dear one in English and dark on a narrow phone', async ({ browser }) => {
  const page = await enter(browser, 'buyer3')
  await page.setViewportSize({ width: 360, height: 740 })
  await page.evaluate(() => localStorage.setItem('duoduopin.locale', 'en'))
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.reload()
  await page.getByTestId('pin-buy').click()
  await expect(page.getByRole('radio', { name: /绛红/ })).toBeDisabled()
  await page.getByText('驼色').click()
  await expect(page.getByTestId('buy-total')).toContainText('9,999,999')
  await look(page, 'buyer-dear-dark-en')
  await page.getByTestId('order-place').click()
  await expect(page.getByTestId('order-pay')).toBeVisible()
  await page.goto('/orders')
  await page.getByRole('link', { name: 'Pay', exact: true }).first().click()
  await page.getByTestId('order-cancel').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel order', exact: true }).click()
  await expect(page.getByTestId('order-state')).toHaveText('Cancelled')
  await expect(page.getByRole('dialog')).toBeHidden()
  await look(page, 'buyer-cancelled-dark-en')
  await page.context().close()
})
