import { expect, test } from '@playwright/test'
import { arrive, expectMovingPicture, look } from './people'

// The whole sale by people's steps: a cadre goes on air from a browser's camera, two viewers watch, one chats and buys,
// the operator reads what the session sold.
test('a live sale, from the camera to the report', async ({ browser }) => {
  const anchor = await arrive(browser, 'desk', 'anchor1')
  const buyer = await arrive(browser, 'phone', 'buyer1')
  const visitor = await arrive(browser, 'desk')

  const session = await test.step('the operator makes a session', async () => {
    const operator = await arrive(browser, 'desk', 'operator')
    const products = await (await operator.request.get('/api/v1/products')).json()
    const sku = products.items[0].skus[0]
    const made = await operator.request.post('/api/v1/sessions', {
      data: {
        title: '浏览器里的一场',
        starts_at: new Date().toISOString(),
        anchors: ['anchor1'],
        shelf: [{ sku_id: sku.id, price_fen: 9900, stock: 10 }],
      },
    })
    expect(made.status()).toBe(201)
    const body = await made.json()
    await operator.context().close()
    return { ...body, product: products.items[0].id as number }
  })

  await test.step('the anchor checks the camera and goes on air', async () => {
    await anchor.goto(`/studio/${session.id}`)
    await expect(anchor.getByTestId('check-camera')).toHaveAttribute('data-state', 'ok')
    await expectMovingPicture(anchor, 'studio-preview')
    await look(anchor, 'studio-before-desk')
    await anchor.getByTestId('go-live').click()
    await expect(anchor.getByTestId('on-air-timer')).toBeVisible()
  })

  await test.step('viewers see the moving picture without signing in', async () => {
    await visitor.goto(`/s/${session.id}`)
    await buyer.goto(`/s/${session.id}`)
    await expectMovingPicture(visitor, 'room-video')
    await expectMovingPicture(buyer, 'room-video')
  })

  await test.step('chat and pin arrive', async () => {
    await buyer.getByTestId('chat-input').fill('有红色的吗')
    await buyer.getByTestId('chat-input').press('Enter')
    await expect(visitor.getByTestId('chat-list')).toContainText('有红色的吗')
    await expect(anchor.getByTestId('studio-chat')).toContainText('有红色的吗')
    await anchor.getByTestId(`pin-${session.product}`).click()
    await expect(buyer.getByTestId('pin-card')).toBeVisible()
    await expect(visitor.getByTestId('pin-card')).toBeVisible()
    await look(visitor, 'room-live-desk')
    await look(buyer, 'room-live-phone')
    await look(anchor, 'studio-on-air-desk')
  })

  await test.step('the buyer orders and pays; a second click buys nothing twice', async () => {
    await buyer.getByTestId('pin-buy').click()
    await expect(buyer.getByTestId('buy-sheet')).toBeVisible()
    await look(buyer, 'buy-sheet-phone')
    await buyer.getByTestId('order-place').dblclick()
    await buyer.getByTestId('order-pay').click()
    await expect(buyer.getByTestId('order-paid')).toBeVisible()
    await look(buyer, 'paid-phone')
    const mine = await (await buyer.request.get(`/api/v1/orders?session_id=${session.id}&mine=1`)).json()
    expect(mine.items).toHaveLength(1)
    expect(mine.items[0].state).toBe('paid')
    await buyer.goto('/orders')
    await look(buyer, 'orders-phone')
  })

  await test.step('the operator reads the report', async () => {
    const operator = await arrive(browser, 'desk', 'operator')
    await operator.goto(`/desk/reports/${session.id}`)
    await expect(operator.getByTestId('report-gmv-paid')).toContainText('99')
    await expect(operator.getByTestId('report-orders-paid')).toContainText('1')
    await expect(operator.getByTestId('report-anchors')).toContainText('99')
    await look(operator, 'report-live-desk')
    await operator.context().close()
  })
})
