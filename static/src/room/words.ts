// What is in a message: words, and #12 where product 12 is sold here.

export type Part = { text: string; product?: number }

/** Splits a text at the numbers of products; a number of no product here stays a word. */
export function partsOf(text: string, titles: ReadonlyMap<number, unknown>): Part[] {
  const parts: Part[] = []
  let from = 0
  for (const m of text.matchAll(/[#＃](\d{1,9})/g)) {
    const product = Number(m[1])
    if (!titles.has(product)) continue
    if (m.index > from) parts.push({ text: text.slice(from, m.index) })
    parts.push({ text: m[0], product })
    from = m.index + m[0].length
  }
  if (from < text.length || parts.length === 0) parts.push({ text: text.slice(from) })
  return parts
}

/** Splits a text into what was at fault and what was not. */
export function faultsOf(text: string, words: readonly string[]): { text: string; bad: boolean }[] {
  const bad = words.filter(Boolean)
  if (bad.length === 0) return [{ text, bad: false }]
  const any = new RegExp(`(${bad.map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})`, 'gi')
  return text
    .split(any)
    .map((part, i) => ({ text: part, bad: i % 2 === 1 }))
    .filter((p) => p.text !== '')
}
