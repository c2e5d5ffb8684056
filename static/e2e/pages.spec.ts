import { type APIRequestContext, test } from '@playwright/test'
import { arrive, look, sizes } from './people'

// Every page at phone and desk size: a screenshot to look at and an axe check.
type Path = string | ((r: APIRequestContext) => Promise<string>)

const leader: Path = async (r) => {
  const reports = await (await r.get('/api/v1/reports/sessions?limit=50')).json()
  return `/desk/reports/${reports.items.find((x: { gmv_paid_fen: number }) => x.gmv_paid_fen === 15_000_000).session.id}`
}
const first =
  (list: string, page: string): Path =>
  async (r) =>
    `${page}/${(await (await r.get(list)).json()).items[0].id}`

const pages: Record<string, { path: Path; as?: string }> = {
  home: { path: '/' },
  login: { path: '/login' },
  me: { path: '/me', as: 'buyer2' },
  orders: { path: '/orders', as: 'buyer2' },
  studio: { path: '/studio', as: 'anchor1' },
  'desk-sessions': { path: '/desk', as: 'operator' },
  'desk-products': { path: '/desk/products', as: 'operator' },
  'desk-orders': { path: '/desk/orders', as: 'operator' },
  'desk-accounts': { path: '/desk/accounts', as: 'admin' },
  'desk-audit': { path: '/desk/audit', as: 'admin' },
  'desk-reports': { path: '/desk/reports', as: 'operator' },
  'desk-session': { path: first('/api/v1/sessions?state=scheduled', '/desk/sessions'), as: 'operator' },
  'desk-session-new': { path: '/desk/sessions/new', as: 'operator' },
  'desk-product': { path: first('/api/v1/products', '/desk/products'), as: 'operator' },
  'report-leader': { path: leader, as: 'operator' },
  'room-before': { path: first('/api/v1/sessions?state=scheduled', '/s') },
  'room-ended': { path: first('/api/v1/sessions?state=ended', '/s') },
  order: { path: first('/api/v1/orders?mine=1', '/orders'), as: 'buyer2' },
  lost: { path: '/nowhere' },
}

for (const size of Object.keys(sizes) as (keyof typeof sizes)[])
  for (const [name, { path, as }] of Object.entries(pages))
    test(`${name} at ${size} size`, async ({ browser }) => {
      const page = await arrive(browser, size, as)
      await page.goto(typeof path === 'string' ? path : await path(page.request))
      await page.waitForLoadState('networkidle')
      await look(page, `${name}-${size}`)
      await page.context().close()
    })
