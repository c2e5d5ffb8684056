import { describe, expect, it } from 'vitest'
import { emptyAddress } from './addresses'
import { areas } from './areas'

describe('areas', () => {
  it('knows where an address begins', async () => {
    const list = await areas()
    const { province, city, district } = emptyAddress()
    expect(list.provinces()).toContain(province)
    expect(list.cities(province)).toContain(city)
    expect(list.districts(province, city)).toContain(district)
  })
  it('has districts for every city, and cities for every province', async () => {
    const list = await areas()
    for (const p of list.provinces()) {
      expect(list.cities(p), p).not.toEqual([])
      for (const c of list.cities(p)) expect(list.districts(p, c), `${p} ${c}`).not.toEqual([])
    }
  })
  it('has nothing under a name it does not know', async () => {
    const list = await areas()
    expect(list.cities('火星')).toEqual([])
    expect(list.districts('北京市', '鄂尔多斯市')).toEqual([])
  })
})
