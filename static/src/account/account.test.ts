import { describe, expect, it } from 'vitest'
import type { Address, Role, User } from '@/api/types'
import { account, may } from './account'
import { emptyAddress, faultsOf, proposed, rememberUsed } from './addresses'
import { placeAfterSignIn } from './next'

const user = (role: Role): User => ({ id: 1, name: 'x', display_name: 'X', role, title: '', unit: '' })

describe('may', () => {
  it('lets an admin do what an operator may, and not more', () => {
    account.user.value = user('admin')
    expect([may('operator'), may('admin'), may('anchor')]).toEqual([true, true, false])
    account.user.value = user('buyer')
    expect([may('operator'), may('buyer')]).toEqual([false, true])
    account.user.value = null
    expect(may('buyer')).toBe(false)
  })
})

describe('placeAfterSignIn', () => {
  it.each([
    ['/s/3?buy=2', 'buyer', '/s/3?buy=2'],
    ['//evil.example', 'buyer', '/'],
    ['/\\evil.example', 'buyer', '/'],
    ['https://evil.example', 'buyer', '/'],
    ['/login?next=/', 'buyer', '/'],
    [undefined, 'anchor', '/studio'],
    [undefined, 'operator', '/desk'],
    [['/a', '/b'], 'buyer', '/'],
  ] as const)('%j for a %s is %s', (next, role, place) => expect(placeAfterSignIn(next, user(role))).toBe(place))
})

describe('addresses', () => {
  const whole = { ...emptyAddress(), name: '王芳', phone: '13800000000', detail: '一号楼' }
  it('wants every part', () => {
    expect(faultsOf(whole)).toEqual({})
    expect(faultsOf({ ...whole, detail: ' ' })).toEqual({ detail: 'needed' })
    expect(faultsOf({ ...whole, phone: 'abc' })).toEqual({ phone: 'badPhone' })
  })
  it('proposes the one used last, else the default, else the first', () => {
    const all = [
      { ...whole, id: 1 },
      { ...whole, id: 2, is_default: true },
      { ...whole, id: 3 },
    ] as Address[]
    localStorage.clear()
    expect(proposed(all)?.id).toBe(2)
    rememberUsed(3)
    expect(proposed(all)?.id).toBe(3)
    expect(proposed(all.slice(0, 1))?.id).toBe(1)
    expect(proposed([])).toBeNull()
  })
})
