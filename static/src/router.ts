// The addresses of the pages and who may open them. A route's meta.roles names the roles; an empty list means whoever
// is signed in. The server decides again at every call: this only spares people a page of refusals.
import { ref, watchEffect } from 'vue'
import { createRouter, createWebHistory, type RouteLocationNormalized, type RouteLocationRaw, type RouteRecordRaw } from 'vue-router'
import { account, may } from '@/account/account'
import type { Role } from '@/api/types'
import { deskRoutes } from '@/desk/routes'
import { studioRoutes } from '@/studio/routes'
import { t } from './messages'

declare module 'vue-router' {
  interface RouteMeta {
    roles?: Role[]
    title?: () => string
  }
}

const routes: RouteRecordRaw[] = [
  { path: '/', name: 'home', component: () => import('./home/HomePage.vue') },
  { path: '/login', name: 'login', component: () => import('./account/LoginPage.vue'), meta: { title: () => t('signIn') } },
  { path: '/me', name: 'me', component: () => import('./account/MePage.vue'), meta: { roles: [], title: () => t('me') } },
  {
    path: '/me/acts',
    name: 'my-acts',
    component: () => import('./account/acts/ActsPage.vue'),
    meta: { roles: [], title: () => t('myActs') },
  },
  {
    path: '/s/:id(\\d+)',
    name: 'room',
    component: () => import('./room/RoomPage.vue'),
    props: (to) => ({ id: Number(to.params.id), key: String(to.params.id) }),
    meta: { title: () => t('room') },
  },
  { path: '/orders', name: 'orders', component: () => import('./orders/OrdersPage.vue'), meta: { roles: [], title: () => t('orders') } },
  {
    path: '/orders/:id',
    name: 'order',
    component: () => import('./orders/OrderPage.vue'),
    props: true,
    meta: { roles: [], title: () => t('order') },
  },
  ...studioRoutes,
  ...deskRoutes,
  {
    path: '/forbidden',
    name: 'forbidden',
    component: () => import('./home/LostPage.vue'),
    props: { forbidden: true },
    meta: { title: () => t('forbidden') },
  },
  { path: '/:rest(.*)*', name: 'lost', component: () => import('./home/LostPage.vue'), meta: { title: () => t('lost') } },
]

export const router = createRouter({
  history: createWebHistory(),
  routes,
  scrollBehavior: (to, from, kept) => kept ?? (to.path === from.path ? false : { top: 0 }),
})

router.beforeEach(async (to): Promise<RouteLocationRaw | true> => {
  const roles = to.meta.roles
  if (!roles) return true
  await account.ready()
  if (!account.user.value) return { name: 'login', query: { next: to.fullPath } }
  return roles.length === 0 || may(...roles) || { name: 'forbidden' }
})

// A page of an older build whose chunks are gone: the address is opened afresh, once.
router.onError((error, to) => {
  const again = 'duoduopin.reloaded'
  if (!/dynamically imported|module script|Failed to fetch|preload/i.test(String(error)) || sessionStorage.getItem(again) === to.fullPath)
    return
  sessionStorage.setItem(again, to.fullPath)
  location.assign(to.fullPath)
})

/** The name of the very thing a page shows (a session's title); set by the page, forgotten when it is left. */
export const pageName = ref('')
router.afterEach((to, from) => {
  if (to.path !== from.path) pageName.value = ''
})

/** What a page is called, in the language of the moment. */
export function pageTitle(route: RouteLocationNormalized): string {
  const own = pageName.value || route.meta.title?.()
  return own ? `${own} · ${t('brand')}` : t('brand')
}

watchEffect(() => {
  document.title = pageTitle(router.currentRoute.value)
})
void account.ready()
