// China's provinces, cities and districts by name, from @vant/area-data (33 KB gzip, loaded once when an address is typed).
// Its six-digit codes follow the national standard: the first two digits name the province, the first four the city.
export interface Areas {
  provinces(): string[]
  cities(province: string): string[]
  districts(province: string, city: string): string[]
}

export interface AreaList {
  province_list: Record<string, string>
  city_list: Record<string, string>
  county_list: Record<string, string>
}

let loading: Promise<Areas> | undefined

/** The list; a failed load is tried again at the next call. */
export function areas(): Promise<Areas> {
  loading ??= import('@vant/area-data').then((m) => areasOf(m.areaList))
  loading.catch(() => (loading = undefined))
  return loading
}

export function areasOf(list: AreaList): Areas {
  const codeOf = (all: Record<string, string>, name: string, prefix = '') =>
    Object.keys(all).find((code) => all[code] === name && code.startsWith(prefix))
  const under = (all: Record<string, string>, prefix: string | undefined) =>
    prefix
      ? Object.keys(all)
          .filter((code) => code.startsWith(prefix))
          .map((code) => all[code]!)
      : []
  const provincePrefix = (province: string) => codeOf(list.province_list, province)?.slice(0, 2)
  return {
    provinces: () => Object.values(list.province_list),
    cities: (province) => under(list.city_list, provincePrefix(province)),
    districts: (province, city) => under(list.county_list, codeOf(list.city_list, city, provincePrefix(province))?.slice(0, 4)),
  }
}
