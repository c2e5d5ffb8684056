import { readFile } from 'node:fs/promises'
import { expect, type Page, test } from '@playwright/test'
import { arrive, look } from './people'

// The seller's way: what an operator does after the show, by clicks and keys only. What buyers do is asked of the API.

const go = async (page: Page, path: string): Promise<void> => {
  await page.goto(path)
  await page.waitForLoadState('networkidle')
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
