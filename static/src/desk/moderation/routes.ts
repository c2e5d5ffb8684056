import type { RouteLocationNormalized, RouteRecordRaw } from 'vue-router'
import type { page as make } from '../routes'

const id = (route: RouteLocationNormalized): { id: number } => ({ id: Number(route.params.id) })

/** The pages for keeping rooms friendly: of all rooms, of one, of one person. Anchors keep the order of their own sessions. */
export const moderationRoutes = (page: typeof make): RouteRecordRaw[] => [
  page('/desk/moderation', 'desk-moderation', 'moderation', ['operator', 'assistant'], () => import('./ModerationPage.vue')),
  page(
    '/desk/sessions/:id(\\d+)/moderation',
    'desk-room-moderation',
    'moderation',
    ['operator', 'assistant', 'anchor'],
    () => import('./RoomModerationPage.vue'),
    id,
  ),
  page(
    '/desk/sessions/:id(\\d+)/people/:user([0-9a-f]{12})',
    'desk-person',
    'person',
    ['operator', 'assistant', 'anchor'],
    () => import('./PersonPage.vue'),
    (route) => ({ ...id(route), user: String(route.params.user) }),
  ),
]
