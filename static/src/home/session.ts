// What cards say of a session.
import type { Session } from '@/api/types'
import { t } from './messages'

/** The picture of a card: the session's own, else its first product's. */
export const coverOf = (s: Session): string => s.cover_url || s.shelf.find((i) => i.picture_url)?.picture_url || ''

/** Who is on air, short enough for a card. */
export function hostsOf(s: Session): string {
  const names = s.anchors.map((a) => a.display_name || a.name)
  return names.length <= 2 ? names.join('、') : t('anchors', { first: names[0] ?? '', n: names.length })
}

/** How many different products are on the shelf (a product may have several SKUs on it). */
export const goodsOf = (s: Session): number => new Set(s.shelf.map((i) => i.product_id)).size

/** The cheapest session price of a product on the shelf. */
export function priceOf(s: Session, productId: number): number | null {
  const prices = s.shelf.filter((i) => i.product_id === productId).map((i) => i.price_fen)
  return prices.length ? Math.min(...prices) : null
}
