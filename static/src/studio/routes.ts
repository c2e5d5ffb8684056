import type { RouteRecordRaw } from 'vue-router'
import { t } from './titles'

/** The anchor's pages: what is coming up, and the studio of one session. */
export const studioRoutes: RouteRecordRaw[] = [
  {
    path: '/studio',
    name: 'studio',
    component: () => import('./StudioHome.vue'),
    meta: { roles: ['anchor', 'operator'], title: () => t('home') },
  },
  {
    path: '/studio/:id(\\d+)',
    name: 'studio-session',
    component: () => import('./StudioSession.vue'),
    props: (route) => ({ id: Number(route.params.id) }),
    meta: { roles: ['anchor', 'operator'], title: () => t('session') },
  },
]
