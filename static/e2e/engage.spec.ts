import { type APIRequestContext, type Browser, expect, type Page, test } from '@playwright/test'
import { arrive, look } from './people'
import { onAir, post, put } from './sessions'

// The life of a room by people's steps: chat that comes back after a refusal and a reload, questions, a poll, a lucky draw
// that the viewer checks, a flash sale's clock.
async function rule(r: APIRequestContext, id: number, change: object): Promise<void> {
  const now = await (await r.get(`/api/v1/sessions/${id}/moderation/controls`)).json()
  await put(r, `/sessions/${id}/moderation/controls`, {
    ...now,
    ...change,
    $schema: undefined,
    silent: undefined, // these are told, not set here
    silent_reason: undefined,
    changed_at: undefined,
    changed_by: undefined,
  })
}

const cast = async (browser: Browser): Promise<{ crew: Page; buyer: Page; desk: Page }> => ({
  crew: await arrive(browser, 'desk', 'operator'),
  buyer: await arrive(browser, 'phone', 'buyer1'),
  desk: await arrive(browser, 'desk', 'buyer2'),
})

async function say(page: Page, text: string): Promise<void> {
  await page.getByTestId('chat-input').fill(text)
  await page.getByTestId('chat-input').press('Enter')
}

test('what is said is never lost, and a refusal says what to do', async ({ browser }) => {
  const { crew, buyer, desk } = await cast(browser)
  const s = await onAir(crew.request, '互动的一场')
  await put(crew.request, `/sessions/${s.id}/welcome`, { text: '欢迎来到多多品，喜欢就点关注' })
  await put(crew.request, `/sessions/${s.id}/pinned-notice`, { text: '今晚全场包邮，生鲜类不支持七天无理由退货，请看好再下单' })
  await rule(crew.request, s.id, { links: 'refuse', notice: '文明观看，理性消费', ai_made: true, ai_text: '主播形象由机器生成' })
  await buyer.goto(`/s/${s.id}`)
  await desk.goto(`/s/${s.id}`)

  await test.step('on entry: welcome, rules, machine-made, pinned notice', async () => {
    await expect(buyer.getByTestId('ai-made')).toHaveText('主播形象由机器生成')
    await expect(buyer.getByTestId('rules-notice')).toContainText('文明观看')
    await expect(buyer.getByTestId('pinned-notice')).toContainText('今晚全场包邮')
    await expect(buyer.getByTestId('chat-list')).toContainText('欢迎来到多多品')
    await look(buyer, 'engage-entry-phone')
    await look(desk, 'engage-entry-desk')
    await buyer.getByRole('button', { name: '知道了' }).click()
    await expect(buyer.getByTestId('rules-notice')).toHaveCount(0)
  })

  await test.step('a link is refused; the words come back, are mended and arrive', async () => {
    await say(buyer, '看这里 http://example.com/x')
    await expect(buyer.getByTestId('refused')).toHaveAttribute('data-reason', 'link')
    await expect(buyer.getByTestId('chat-input')).toHaveValue('看这里 http://example.com/x')
    await look(buyer, 'engage-refused-link-phone')
    await say(buyer, `#${s.product} 有红色的吗 🧣`)
    await expect(desk.getByTestId('chat-list')).toContainText('有红色的吗 🧣')
    await expect(buyer.getByTestId('refused')).toHaveCount(0)
  })

  await test.step('the number of a product is a link to it', async () => {
    await desk.getByTestId('chat-list').getByRole('button', { name: s.title }).click()
    await expect(desk.getByTestId('buy-sheet')).toBeVisible()
    await desk.keyboard.press('Escape')
  })

  // The e2e server runs with --limits off, which lifts slow mode: its countdown can't be walked here.
  await test.step('slow mode is said in the field, and what is being written outlives a reload', async () => {
    await rule(crew.request, s.id, { slow_seconds: 20 })
    await expect(buyer.getByTestId('chat-input')).toHaveAttribute('placeholder', '慢速：每 20 秒一条')
    await rule(crew.request, s.id, { slow_seconds: 0 })
    await buyer.getByTestId('chat-input').fill('第二句')
    await buyer.reload()
    await expect(buyer.getByTestId('chat-input')).toHaveValue('第二句')
    await buyer.getByTestId('chat-input').press('Enter')
    await expect(desk.getByTestId('chat-list')).toContainText('第二句')
  })

  await test.step('a word of a list is shown; one that holds waits for review', async () => {
    const list = await post(crew.request, '/moderation/lists', { session_id: s.id, name: '测试词', action: 'refuse' })
    await post(crew.request, `/moderation/lists/${list.id as number}/import`, { format: 'text', content: '坏词样例' })
    const hold = await post(crew.request, '/moderation/lists', { session_id: s.id, name: '待审词', action: 'hold' })
    await post(crew.request, `/moderation/lists/${hold.id as number}/import`, { format: 'text', content: '待审样例' })
    await expect
      .poll(
        async () => {
          await say(buyer, `这是坏词样例吧`)
          await buyer.waitForTimeout(500)
          return buyer
            .getByTestId('refused')
            .getAttribute('data-reason', { timeout: 1000 })
            .catch(() => '')
        },
        { intervals: [2000] },
      )
      .toBe('blocked-word')
    await expect(buyer.getByTestId('refused').locator('mark')).toHaveText('坏词样例')
    await look(buyer, 'engage-refused-word-phone')
    await say(buyer, '这是待审样例')
    await expect(buyer.getByTestId('held')).toContainText('这是待审样例')
    await look(buyer, 'engage-held-phone')
    const queue = await (await crew.request.get(`/api/v1/sessions/${s.id}/moderation/queue?state=waiting`)).json()
    await post(crew.request, `/moderation/held/${queue.items[0].id ?? queue.items[0].held_id}/approve`)
    await expect(desk.getByTestId('chat-list')).toContainText('这是待审样例')
    await expect(buyer.getByTestId('held')).toHaveCount(0)
  })

  await test.step('only followers: the way to speak is beside the input', async () => {
    await rule(crew.request, s.id, { who: 'followers' })
    await expect(buyer.getByTestId('chat-input')).toHaveAttribute('placeholder', '关注主播后可发言')
    await say(buyer, '我关注了吗')
    await expect(buyer.getByTestId('refused')).toHaveAttribute('data-reason', 'followers-only')
    await buyer.getByTestId('refused').getByRole('button', { name: '关注主播' }).click()
    await expect
      .poll(
        async () => {
          await buyer.getByTestId('chat-input').press('Enter')
          return desk.getByTestId('chat-list').innerText()
        },
        { intervals: [2000] },
      )
      .toContain('我关注了吗')
    await rule(crew.request, s.id, { who: 'everyone' })
  })

  await test.step('muted: until when, and the words stay', async () => {
    const me = await buyer.evaluate(() => document.querySelector('.line.mine')?.getAttribute('data-seq'))
    const context = await (await crew.request.get(`/api/v1/sessions/${s.id}/moderation/messages/${me}/context?n=1`)).json()
    const user = context.items.find((m: { seq: number }) => String(m.seq) === me).user
    await post(crew.request, `/sessions/${s.id}/moderation/mutes`, { user: user.id ?? user, minutes: 10, reason: '刷屏' })
    await say(buyer, '我还能说话吗')
    await expect(buyer.getByTestId('refused')).toHaveAttribute('data-reason', 'muted')
    await expect(buyer.getByTestId('refused')).toContainText('到 ')
    await expect(buyer.getByTestId('refused').getByRole('link')).toHaveAttribute('href', '/me/acts')
    await expect(buyer.getByTestId('chat-input')).toHaveValue('我还能说话吗')
    await buyer.getByTestId('refused').getByRole('link').click({ trial: true, timeout: 3000 }) // no notice lies on it
    await look(buyer, 'engage-refused-muted-phone')
  })
})

test('questions, a poll, a draw that can be checked, a flash sale', async ({ browser }) => {
  const { crew, buyer, desk } = await cast(browser)
  const s = await onAir(crew.request, '问答投票抽奖的一场')
  await buyer.goto(`/s/${s.id}`)
  await desk.goto(`/s/${s.id}`)

  await test.step('a question is asked, wanted by another, answered', async () => {
    await buyer.getByTestId('questions').click()
    await look(buyer, 'engage-questions-none-phone')
    await buyer.getByTestId('question-text').fill('这条围巾有多长，能机洗吗？')
    await buyer.getByTestId('question-ask').click()
    await expect(buyer.getByTestId('questions-sheet')).toContainText('等主播回答')
    await buyer.getByTestId('question-text').fill('第二个问题')
    await buyer.getByTestId('question-ask').click()
    await expect(buyer.getByTestId('question-problem')).toContainText('还在排队')
    await look(buyer, 'engage-questions-phone')
    await desk.getByTestId('questions').click()
    const vote = desk.getByRole('button', { name: /我也想知道：这条围巾有多长/ })
    await vote.press('Enter')
    await expect(desk.getByTestId('questions-list')).toContainText('1 人想知道')
    await look(desk, 'engage-questions-desk')
    await desk.keyboard.press('Escape')
    const open = await (await crew.request.get(`/api/v1/sessions/${s.id}/questions?state=open`)).json()
    await post(crew.request, `/sessions/${s.id}/questions/${open.items[0].question_id}/answer`)
    await expect(buyer.getByTestId('answered')).toBeVisible()
    await buyer.keyboard.press('Escape')
  })

  await test.step('a poll: one vote each, bars follow', async () => {
    await post(crew.request, `/sessions/${s.id}/polls`, { question: '先讲哪个？', options: ['羊绒围巾', '沙棘汁', '奶酪'], seconds: 600 })
    await expect(desk.getByTestId('poll')).toBeVisible()
    await desk.getByTestId('option-1').click()
    await expect(desk.getByTestId('option-1')).toContainText('100%')
    await buyer.getByTestId('poll-chip').click()
    await buyer.getByTestId('option-0').dblclick()
    await expect(buyer.getByTestId('option-0')).toContainText('50%')
    await look(buyer, 'engage-poll-phone')
    await look(desk, 'engage-poll-desk')
    await buyer.reload()
    await buyer.getByTestId('poll-chip').click()
    await expect(buyer.getByTestId('poll')).toContainText('已投票')
    await buyer.keyboard.press('Escape')
  })

  await test.step('a flash sale is announced on the explaining card', async () => {
    await post(crew.request, `/sessions/${s.id}/flash-sales`, {
      sku_id: s.sku,
      price_fen: 6900,
      stock: 10,
      per_person: 2,
      starts_in_seconds: 20,
      seconds: 300,
    })
    await expect(buyer.getByTestId('flash')).toContainText('距开抢')
    await look(buyer, 'engage-flash-soon-phone')
    await expect(buyer.getByTestId('flash')).toContainText('距结束', { timeout: 30_000 })
    await expect(buyer.getByTestId('pin-card')).toContainText('69')
    await look(buyer, 'engage-flash-phone')
    await look(desk, 'engage-flash-desk')
  })

  await test.step('a lucky draw: odds, a ticket, the result, the check', async () => {
    await post(crew.request, `/sessions/${s.id}/draws`, {
      title: '开场福利',
      prize: '沙棘汁一箱',
      winners: 1,
      opens_at: new Date(Date.now() + 11_500).toISOString(),
      closes_at: new Date(Date.now() + 34_000).toISOString(),
    })
    await buyer.getByTestId('draw-chip').click()
    await expect(buyer.getByTestId('draw')).toContainText('距开始')
    await buyer.getByTestId('draw-join').click()
    await expect(buyer.getByTestId('draw-joined')).toBeVisible()
    await expect(buyer.getByTestId('odds')).toContainText('人人中奖')
    await look(buyer, 'engage-draw-open-phone')
    await desk.getByTestId('draw-chip').click()
    await desk.getByTestId('draw-join').press('Enter')
    await expect(buyer.getByTestId('odds')).toContainText('1 / 2（50%）')
    await expect(buyer.getByTestId('draw')).toHaveAttribute('data-state', 'drawn', { timeout: 60_000 })
    await buyer.getByTestId('draw-check').click()
    await expect(buyer.getByTestId('draw-checked').locator('li')).toHaveCount(6)
    await expect(buyer.getByTestId('draw-checked').locator('.bad')).toHaveCount(0)
    await look(buyer, 'engage-draw-checked-phone')
    await look(desk, 'engage-draw-drawn-desk')
    await buyer.keyboard.press('Escape')
  })

  await test.step('just bought', async () => {
    await buyer.goto('/me')
    await buyer.getByTestId('banner-consent').click()
    await expect(buyer.getByTestId('banner-consent')).toBeChecked()
    await look(buyer, 'engage-consent-phone')
    await buyer.goto(`/s/${s.id}`)
    await buyer.getByTestId('pin-buy').click()
    await buyer.getByTestId('order-place').click()
    await buyer.getByTestId('order-pay').click()
    await expect(desk.getByTestId('sold-banner')).toContainText('刚买了', { timeout: 15_000 })
    await look(desk, 'engage-sold-desk')
  })
})

test.describe('in the studio', () => {
  test('questions come first, with what else runs', async ({ browser }) => {
    const { crew, buyer } = await cast(browser)
    const anchor = await arrive(browser, 'desk', 'anchor1')
    const products = await (await crew.request.get('/api/v1/products')).json()
    const sku = products.items[0].skus[0]
    const made = await post(crew.request, '/sessions', {
      title: '演播室的一场',
      starts_at: new Date().toISOString(),
      anchors: ['anchor1'],
      shelf: [{ sku_id: sku.id, price_fen: 9900, stock: 3 }],
    })
    const id = made.id as number
    await anchor.goto(`/studio/${id}`)
    await anchor.getByTestId('go-live').click()
    await expect(anchor.getByTestId('on-air-timer')).toBeVisible()
    await look(anchor, 'engage-studio-none-desk')
    await buyer.goto(`/s/${id}`)
    await buyer.getByTestId('questions').click()
    await buyer.getByTestId('question-text').fill('这个可以机洗吗？洗了会不会缩水？')
    await buyer.getByTestId('question-ask').click()
    await expect(anchor.getByTestId('studio-questions')).toContainText('可以机洗吗')
    await post(crew.request, `/sessions/${id}/polls`, { question: '先讲哪个？', options: ['围巾', '果汁'] })
    await expect(anchor.getByTestId('studio-poll')).toContainText('先讲哪个')
    await expect(anchor.getByTestId('low-stock')).toContainText('3')
    await buyer.keyboard.press('Escape')
    await say(buyer, '主播好')
    await expect(anchor.getByTestId('studio-chat')).toContainText('主播好')
    await look(anchor, 'engage-studio-desk')
    await anchor.getByTestId('question-answered').press('Enter')
    await expect(anchor.getByTestId('studio-questions')).toContainText('还没有问题')
    await buyer.getByTestId('questions').click()
    await expect(buyer.getByTestId('answered')).toBeVisible()
  })
})
