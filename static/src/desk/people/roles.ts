import type { Role } from '@/api/types'
import { t } from '../messages'

export const roles: Role[] = ['anchor', 'assistant', 'operator', 'admin', 'buyer']

const names = {
  admin: 'roleAdmin',
  operator: 'roleOperator',
  assistant: 'roleAssistant',
  anchor: 'roleAnchor',
  buyer: 'roleBuyer',
} as const

export const roleName = (role: Role): string => t(names[role])
