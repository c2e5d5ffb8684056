// A product while it is written: everything as typed, and what goes to the server.
import type { Product } from '@/api/types'
import { parseYuan } from '@/ui/money'

export interface SkuForm {
  id?: number
  name: string
  price: string // yuan
  stock: string // for a new SKU only; later stock changes by movements
}

export interface ProductForm {
  title: string
  subtitle: string
  description: string
  category: string
  origin: string
  licence_no: string
  fresh: boolean
  selling_points: string // one a line
  banned_words: string // one a line, or with commas
  skus: SkuForm[]
}

export type ProductFault = 'title' | 'skus' | 'skuName' | 'skuPrice' | 'skuStock'

const yuan = (fen: number): string => (fen % 100 === 0 ? String(fen / 100) : (fen / 100).toFixed(2))

export const emptyProduct = (): ProductForm => ({
  title: '',
  subtitle: '',
  description: '',
  category: '',
  origin: '',
  licence_no: '',
  fresh: false,
  selling_points: '',
  banned_words: '',
  skus: [{ name: '', price: '', stock: '' }],
})

export const formOf = (p: Product): ProductForm => ({
  title: p.title,
  subtitle: p.subtitle,
  description: p.description,
  category: p.category,
  origin: p.origin,
  licence_no: p.licence_no,
  fresh: p.fresh,
  selling_points: p.selling_points.join('\n'),
  banned_words: p.banned_words.join('\n'),
  skus: p.skus.map((s) => ({ id: s.id, name: s.name, price: yuan(s.price_fen), stock: '' })),
})

/** The first thing that is wrong, null when nothing is. */
export function faultOf(f: ProductForm): ProductFault | null {
  if (!f.title.trim()) return 'title'
  if (f.skus.length === 0) return 'skus'
  for (const s of f.skus) {
    if (!s.name.trim()) return 'skuName'
    if (!parseYuan(s.price)) return 'skuPrice'
    if (s.id === undefined && s.stock.trim() !== '' && !/^\d{1,7}$/.test(s.stock.trim())) return 'skuStock'
  }
  return null
}

export const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((l) => l.trim())
    .filter(Boolean)
export const words = (text: string): string[] => [
  ...new Set(
    text
      .split(/[\n,,、;;]/)
      .map((w) => w.trim())
      .filter(Boolean),
  ),
]

function common(f: ProductForm) {
  return {
    title: f.title.trim(),
    subtitle: f.subtitle.trim(),
    description: f.description.trim(),
    category: f.category.trim(),
    origin: f.origin.trim(),
    licence_no: f.licence_no.trim(),
    fresh: f.fresh,
    selling_points: lines(f.selling_points),
    banned_words: words(f.banned_words),
  }
}

/** For POST /products. */
export const newBody = (f: ProductForm, draft: boolean) => ({
  ...common(f),
  draft,
  skus: f.skus.map((s) => ({ name: s.name.trim(), price_fen: parseYuan(s.price)!, stock: Number(s.stock.trim() || '0') })),
})

/** For PATCH /products/{id}: a SKU without an id is added; stock is not part of it. */
export const changeBody = (f: ProductForm) => ({
  ...common(f),
  skus: f.skus.map((s) => ({ ...(s.id === undefined ? {} : { id: s.id }), name: s.name.trim(), price_fen: parseYuan(s.price)! })),
})
