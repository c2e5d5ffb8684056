import type { RouteLocationNormalized, RouteRecordRaw } from 'vue-router'
import type { Role } from '@/api/types'
import { moderationRoutes } from './moderation/routes'
import { t } from './titles'

type Title = Parameters<typeof t>[0]
const id = (route: RouteLocationNormalized) => ({ id: Number(route.params.id) })
const crew: Role[] = ['operator', 'assistant']

export function page(
  path: string,
  name: string,
  title: Title,
  roles: Role[],
  component: RouteRecordRaw['component'],
  props?: (route: RouteLocationNormalized) => Record<string, unknown>,
): RouteRecordRaw {
  return { path, name, component: component!, props: props ?? false, meta: { roles, title: () => t(title) } } as RouteRecordRaw
}

/** The operator's desk. Anchors come here for their reports only. */
export const deskRoutes: RouteRecordRaw[] = [
  page('/desk', 'desk', 'sessions', crew, () => import('./sessions/SessionsPage.vue')),
  page('/desk/sessions/new', 'desk-session-new', 'newSession', ['operator'], () => import('./sessions/SessionNewPage.vue')),
  page('/desk/sessions/:id(\\d+)', 'desk-session', 'session', crew, () => import('./sessions/SessionPage.vue'), id),
  page('/desk/sessions/:id(\\d+)/console', 'desk-console', 'console', crew, () => import('./console/ConsolePage.vue'), id),
  ...moderationRoutes(page),
  page('/desk/sessions/:id(\\d+)/viewers', 'desk-viewers', 'viewers', crew, () => import('./media/ViewersPage.vue'), id),
  page(
    '/desk/sessions/:id(\\d+)/viewers/:viewer',
    'desk-viewer',
    'viewer',
    crew,
    () => import('./media/ViewerPage.vue'),
    (route) => ({
      ...id(route),
      viewer: String(route.params.viewer),
    }),
  ),
  page('/desk/products', 'desk-products', 'products', crew, () => import('./products/ProductsPage.vue')),
  page('/desk/products/new', 'desk-product-new', 'newProduct', ['operator'], () => import('./products/ProductNewPage.vue')),
  page('/desk/products/:id(\\d+)', 'desk-product', 'product', crew, () => import('./products/ProductPage.vue'), id),
  page('/desk/orders', 'desk-orders', 'orders', ['operator'], () => import('./orders/OrdersPage.vue')),
  page('/desk/products/low', 'desk-low', 'lowStock', crew, () => import('./products/LowStockPage.vue')),
  page('/desk/fulfilment', 'desk-fulfilment', 'fulfilment', ['operator'], () => import('./fulfilment/FulfilmentPage.vue')),
  page('/desk/aftersales', 'desk-aftersales', 'aftersales', ['operator'], () => import('./aftersales/AftersalesPage.vue')),
  page('/desk/aftersales/invoices', 'desk-invoices', 'aftersales', ['operator'], () => import('./aftersales/InvoicesPage.vue')),
  page('/desk/promotions', 'desk-promotions', 'promotions', ['operator'], () => import('./promotions/CouponsPage.vue')),
  page('/desk/promotions/gifts', 'desk-gifts', 'promotions', ['operator'], () => import('./promotions/GiftsPage.vue')),
  page('/desk/promotions/shipping', 'desk-shipping', 'promotions', ['operator'], () => import('./promotions/ShippingPage.vue')),
  page('/desk/promotions/points', 'desk-points', 'promotions', ['operator'], () => import('./promotions/PointsPage.vue')),
  page('/desk/money', 'desk-money', 'money', ['operator'], () => import('./money/LedgerPage.vue')),
  page('/desk/money/days', 'desk-days', 'money', ['operator'], () => import('./money/DaysPage.vue')),
  page('/desk/money/days/:id(\\d+)', 'desk-day', 'money', ['operator'], () => import('./money/DayPage.vue'), id),
  page('/desk/money/quarantine', 'desk-quarantine', 'money', ['operator'], () => import('./money/QuarantinePage.vue')),
  page('/desk/money/refunds', 'desk-failed-refunds', 'money', ['operator'], () => import('./money/FailedRefundsPage.vue')),
  page('/desk/webhooks', 'desk-webhooks', 'webhooks', ['operator'], () => import('./webhooks/WebhooksPage.vue')),
  page('/desk/accounts', 'desk-accounts', 'accounts', ['operator'], () => import('./people/AccountsPage.vue')),
  page('/desk/audit', 'desk-audit', 'audit', ['admin'], () => import('./people/AuditPage.vue')),
  page('/desk/reports', 'desk-reports', 'reports', ['operator'], () => import('@/reports/ReportsPage.vue')),
  page('/desk/reports/:id(\\d+)', 'desk-report', 'report', ['operator', 'anchor'], () => import('@/reports/ReportPage.vue'), id),
]
