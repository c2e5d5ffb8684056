import { readFile } from 'node:fs/promises'
import { type APIRequestContext, type Browser, expect, type Page, test } from '@playwright/test'
import type { sizes } from './people'
import { arrive, look } from './people'

// The seller's way: what an operator does after the show, by clicks and keys only. What buyers do is asked of the API.

const go = async (page: Page, path: string): Promise<void> => {
  await page.goto(path)
  await page.waitForLoadState('networkidle')
}

interface Placed {
  id: string
  items: { sku_id: number }[]
}

/** A paid order of buyer2 that has not left yet, from the demo shop. */
async function paid(r: APIRequestContext): Promise<Placed> {
  const found = (await (await r.get('/api/v1/orders?mine=1&state=paid&limit=1')).json()) as { items: Placed[] }
  return found.items[0]!
}

test('parcels: selection, bulk, one that fails, CSV out and in', async ({ browser }) => {
  const page = await arrive(browser, 'desk', 'operator')
  await go(page, '/desk')
  await page.getByRole('link', { name: '发货' }).click()
  const rows = page.locator('tbody tr')
  await expect(rows.first()).toBeVisible()
  await look(page, 'seller-fulfilment-desk')

  // Arrows walk the list, Enter opens, Escape closes.
  await rows.nth(0).locator('button.name').focus()
  await page.keyboard.press('ArrowDown')
  await expect(rows.nth(1).locator('button.name')).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog')).toBeVisible()
  await expect(
    page
      .getByRole('dialog')
      .getByRole('heading', { name: '经过' })
      .or(page.getByRole('dialog').getByRole('heading', { name: '时间线' })),
  ).toBeVisible()
  await page.waitForTimeout(400)
  await look(page, 'seller-order-desk')
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)

  // Two orders, two numbers, typed as a scanner types: number, Enter.
  await rows.nth(0).locator('input[type=checkbox]').check()
  await rows.nth(1).locator('input[type=checkbox]').check()
  await page.getByRole('button', { name: '给 2 单发货' }).click()
  const sheet = page.getByTestId('bulk-ship')
  await sheet.locator('ul input').nth(0).fill('SF1000000000001')
  await page.keyboard.press('Enter')
  await page.keyboard.type('x')
  await page.waitForTimeout(400)
  await look(page, 'seller-bulk-desk')
  await page.getByTestId('bulk-ship-go').click()
  await expect(sheet.getByRole('alert')).toContainText('1 单没有发出')
  await look(page, 'seller-bulk-wrong-desk')
  await sheet.locator('ul input').nth(0).fill('SF1000000000002')
  await page.getByTestId('bulk-ship-go').click()
  await expect(sheet).toHaveCount(0)

  // The export is filled in and comes back: one right row, one wrong.
  await page.getByRole('button', { name: '导出 CSV' }).click()
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('dialog').getByRole('link', { name: '导出 CSV' }).click(),
  ])
  const text = await readFile((await download.path())!, 'utf8')
  const [head, first] = text.replace('\ufeff', '').split(/\r?\n/)
  const columns = head!.split(',')
  const order = first!.split(',')[columns.indexOf('订单号')]!
  await page.getByRole('button', { name: '导入运单' }).click()
  const csv = `订单号,快递公司,快递单号\n${order},顺丰,SF2000000000001\nnot-an-order,顺丰,SF2000000000002\n`
  await page
    .getByTestId('import')
    .locator('input[type=file]')
    .setInputFiles({ name: 'numbers.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) })
  await expect(page.getByTestId('import')).toContainText('可发 1')
  await expect(page.getByTestId('import')).toContainText('有错 1')
  await page.waitForTimeout(400)
  await look(page, 'seller-import-desk')
  await expect(page.getByTestId('import-go')).toBeDisabled()
  await page.getByTestId('import').locator('label.check input').check()
  await page.getByTestId('import-go').dblclick()
  await expect(page.getByTestId('import')).toContainText('已发 1')
  await page.context().close()
})

test('a return: asked, approved, received in part damaged, refunded', async ({ browser }) => {
  const buyer = await arrive(browser, 'phone', 'buyer2')
  const order = await paid(buyer.request)
  const page = await arrive(browser, 'desk', 'operator')
  // The parcel leaves by the order's own panel.
  await go(page, `/desk/fulfilment?state=paid&q=${order.id}`)
  await page.locator('tbody tr button.name').first().click()
  await page.getByRole('dialog').getByRole('button', { name: '发货' }).click()
  await page.locator('input[name=tracking_no]').fill('SF3000000000001')
  await page.getByRole('dialog').last().getByRole('button', { name: '发货' }).click()
  await expect(page.getByRole('dialog').first()).toContainText('SF3000000000001')

  const asked = await buyer.request.post(`/api/v1/orders/${order.id}/aftersales`, {
    headers: { 'Idempotency-Key': 'e2e-return', Origin: new URL(page.url()).origin },
    data: { kind: 'return', reason: 'quality', text: '收到时有一道划痕，请看图片', lines: [{ line: 0, quantity: 1 }] },
  })
  expect(asked.status(), await asked.text()).toBe(201)

  await go(page, '/desk/aftersales')
  await look(page, 'seller-aftersales-desk')
  await page.locator('tbody tr button.name').first().click()
  const panel = page.getByTestId('request')
  await expect(panel).toContainText('划痕')
  await page.waitForTimeout(400)
  await look(page, 'seller-request-desk')
  await panel.getByRole('button', { name: '同意' }).click()
  await page.locator('textarea[name=return_to]').fill('康巴什仓库 13800000000 康巴什区示例路 1 号')
  await page.getByTestId('decide').getByRole('button', { name: '同意' }).click()
  await expect(panel).toContainText('等买家寄回')
  await panel.getByRole('button', { name: '登记收货' }).click()
  await page.getByTestId('receive').getByRole('button', { name: '减少' }).first().click()
  await page.getByTestId('receive').getByRole('button', { name: '增加' }).last().click()
  await expect(page.getByTestId('receive')).toContainText('破损 1 件报损')
  await page.waitForTimeout(400)
  await look(page, 'seller-receive-desk')
  await page.getByTestId('receive').getByRole('button', { name: '登记收货' }).click()
  await expect(panel).toContainText('已收货，待退款')
  await panel.getByRole('button', { name: '退款', exact: true }).click()
  await page.getByTestId('settle').getByRole('button', { name: '退款', exact: true }).dblclick()
  await expect(panel).toContainText('已完成')
  await look(page, 'seller-settled-desk')
  await buyer.context().close()
  await page.context().close()
})

test('a refund by line shows what is left', async ({ browser }) => {
  const page = await arrive(browser, 'desk', 'operator')
  await go(page, '/desk/fulfilment')
  await page.locator('tbody tr button.name').nth(3).click()
  await page.getByRole('dialog').getByRole('button', { name: '退款' }).click()
  const sheet = page.getByTestId('refund-confirm').or(page.getByRole('dialog').last())
  await page.getByRole('button', { name: '按商品' }).click()
  await page.getByRole('dialog').last().getByRole('button', { name: '增加' }).first().click()
  await expect(page.getByRole('dialog').last()).toContainText('退后还可退')
  await page.locator('input[name=reason]').fill('买家改了主意')
  await page.waitForTimeout(400)
  await look(page, 'seller-refund-lines-desk')
  await page.getByTestId('refund-confirm').dblclick()
  await expect(sheet).toHaveCount(1)
  await expect(page.getByRole('dialog')).toContainText('买家改了主意')
  await page.context().close()
})

test('promotions: the effect is seen before a coupon is made, given and stopped', async ({ browser }) => {
  const page = await arrive(browser, 'desk', 'operator')
  await go(page, '/desk/promotions')
  await look(page, 'seller-coupons-empty-desk')
  await page.getByRole('button', { name: '新建优惠券' }).click()
  await page.locator('input[name=title]').fill('草原好物满减券')
  await page.getByRole('button', { name: '按比例减' }).click()
  await page.locator('input[name=percent]').fill('10')
  await page.locator('input[name=cap]').fill('30')
  await page.locator('input[name=threshold]').fill('200')
  await page.locator('input[name=budget]').fill('9,999,999.99')
  await expect(page.getByTestId('effect')).toContainText('买 ¥200.00，优惠 ¥20.00，付 ¥180.00')
  await expect(page.getByTestId('effect')).toContainText('买 ¥600.00，优惠 ¥30.00，付 ¥570.00')
  await page.waitForTimeout(400)
  await look(page, 'seller-coupon-new-desk')
  await page.getByTestId('coupon-save').dblclick()
  await expect(page.locator('tbody tr')).toHaveCount(1)
  await page.getByRole('button', { name: '发给 草原好物满减券' }).click()
  await page.locator('textarea[name=accounts]').fill('buyer2\nbuyer3')
  await page.getByRole('button', { name: '发给 2 人' }).click()
  await expect(page.locator('tbody tr')).toContainText('已发 2')
  await look(page, 'seller-coupons-desk')
  await page.getByRole('button', { name: '停止 草原好物满减券' }).click()
  await page.getByRole('dialog').getByRole('button', { name: '停止' }).click()
  await expect(page.locator('tbody tr')).toContainText('已停止')

  await page.getByRole('link', { name: '运费' }).click()
  await page.getByRole('button', { name: '新建运费模板' }).click()
  await page.locator('input[name=name]').fill('普通包裹')
  await page.waitForTimeout(400)
  await look(page, 'seller-shipping-new-desk')
  await page.getByRole('button', { name: '保存' }).click()
  await expect(page.getByRole('heading', { name: '普通包裹' })).toBeVisible()
  await look(page, 'seller-shipping-desk')
  await page.getByRole('button', { name: '删除' }).click()
  await page.getByRole('dialog').getByRole('button', { name: '删除' }).click()
  await expect(page.getByRole('heading', { name: '普通包裹' })).toHaveCount(0)

  await page.getByRole('link', { name: '积分' }).click()
  await page.getByRole('button', { name: '发积分' }).click()
  await page.locator('input[name=account]').fill('buyer2')
  await page.locator('input[name=points]').fill('500')
  await page.locator('input[name=reason]').fill('活动补发')
  await expect(page.getByRole('dialog')).toContainText('¥5.00')
  await page.getByTestId('points').dblclick()
  await expect(page.locator('dl')).toContainText('500')
  await look(page, 'seller-points-desk')
  await page.context().close()
})

test('the books are green, drill down to rows; a day is reconciled', async ({ browser }) => {
  const page = await arrive(browser, 'desk', 'operator')
  await go(page, '/desk/money')
  await expect(page.getByTestId('verdict')).toContainText('账目全部相符')
  await look(page, 'seller-ledger-desk')
  await page.getByRole('link', { name: '每日对账' }).click()
  await page.getByRole('button', { name: '对账' }).first().click()
  await page.waitForTimeout(400)
  await look(page, 'seller-reconcile-desk')
  await page.getByRole('dialog').getByRole('button', { name: '对账' }).click()
  await page.waitForTimeout(1500)
  await look(page, 'seller-days-desk')
  await page.keyboard.press('Escape')
  for (const name of ['存疑款项', '失败退款']) {
    await page.getByRole('link', { name }).click()
    await page.waitForLoadState('networkidle')
    await look(page, `seller-${name === '存疑款项' ? 'quarantine' : 'failed'}-desk`)
  }
  await page.context().close()
})

test('webhooks: added with its secret once, a test, refused inner address, deleted', async ({ browser }) => {
  const page = await arrive(browser, 'desk', 'operator')
  await go(page, '/desk/webhooks')
  await page.getByRole('button', { name: '添加地址' }).click()
  await page.locator('input[name=url]').fill('https://127.0.0.1/hook')
  await page.getByTestId('endpoint').getByRole('button', { name: '保存' }).click()
  await expect(page.getByTestId('endpoint').locator('.wrong, [role=alert]').first()).toBeVisible()
  await page.waitForTimeout(400)
  await look(page, 'seller-webhook-refused-desk')
  await page.locator('input[name=url]').fill('https://hooks.example.org/duoduopin')
  await page.locator('input[name=note]').fill('仓库系统')
  await page.getByTestId('endpoint').getByRole('button', { name: '保存' }).click()
  await expect(page.getByTestId('secret')).toBeVisible()
  await page.getByTestId('secret').getByRole('button', { name: '已记下' }).click()
  await page.getByRole('button', { name: '发测试事件' }).click()
  await page.getByRole('button', { name: '发送记录' }).click()
  await expect(page.getByTestId('deliveries').locator('li').first()).toBeVisible()
  await page.waitForTimeout(400)
  await look(page, 'seller-deliveries-desk')
  await page.keyboard.press('Escape')
  await look(page, 'seller-webhooks-desk')
  await page.getByRole('button', { name: '删除' }).click()
  await page.getByRole('dialog').getByRole('button', { name: '删除' }).click()
  await expect(page.getByText('还没有地址')).toBeVisible()
  await page.context().close()
})

test('a warning line and a weight of a variant', async ({ browser }) => {
  const page = await arrive(browser, 'desk', 'operator')
  await go(page, '/desk/products')
  await page.locator('tbody tr a.name').first().click()
  await page.getByRole('button', { name: '提醒与重量' }).first().click()
  await page.locator('input[name=low_at]').fill('9999')
  await page.locator('input[name=grams]').fill('850')
  await page.getByTestId('sku-settings').getByRole('button', { name: '保存' }).click()
  await expect(page.getByText('快卖完').first()).toBeVisible()
  await go(page, '/desk/products/low')
  await expect(page.locator('tbody tr').first()).toBeVisible()
  await look(page, 'seller-low-desk')
  await page.context().close()
})

async function english(browser: Browser, size: keyof typeof sizes): Promise<Page> {
  const page = await arrive(browser, size, 'operator')
  await page.evaluate(() => localStorage.setItem('duoduopin.locale', 'en'))
  return page
}

const all = [
  'fulfilment',
  'aftersales',
  'aftersales/invoices',
  'promotions',
  'promotions/gifts',
  'promotions/points',
  'money',
  'money/days',
  'webhooks',
  'products/low',
]
test('every page on a phone, in English and in the dark', async ({ browser }) => {
  const page = await english(browser, 'phone')
  for (const dark of [false, true]) {
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' })
    for (const path of all) {
      await go(page, `/desk/${path}`)
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      expect(wide, `${path} is wider than the phone`).toBeLessThanOrEqual(0)
      await look(page, `seller-${path.replace('/', '-')}-phone-${dark ? 'dark' : 'light'}`)
    }
  }
  await page.context().close()
})
