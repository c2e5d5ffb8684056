import { test } from '@playwright/test'
import { arrive, look, sizes } from './people'

// Every page at phone and desk size: a screenshot to look at and an axe check.
const pages: Record<string, { path: string; as?: string }> = {
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
}

for (const size of Object.keys(sizes) as (keyof typeof sizes)[])
  for (const [name, { path, as }] of Object.entries(pages))
    test(`${name} at ${size} size`, async ({ browser }) => {
      const page = await arrive(browser, size, as)
      await page.goto(path)
      await page.waitForLoadState('networkidle')
      await look(page, `${name}-${size}`)
      await page.context().close()
    })
