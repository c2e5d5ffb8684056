import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

// Every text colour on every surface that it is used on, read from tokens.css, in light and dark: 4.5:1 (WCAG 1.4.3).
const css = readFileSync(join(import.meta.dirname, 'tokens.css'), 'utf8')

function tokens(selector: string): Record<string, string> {
  const block = css.slice(css.indexOf(selector)).split('{')[1]!.split('}')[0]!
  return Object.fromEntries([...block.matchAll(/--([\w-]+):\s*([^;/]+);/g)].map((m) => [m[1]!, m[2]!.trim()]))
}

const shades = tokens(':root')
const themes = { light: tokens("[data-theme='light']"), dark: tokens("[data-theme='dark']") }

function colour(theme: Record<string, string>, name: string): string {
  const value = theme[name] ?? shades[name]!
  const via = /var\(--([\w-]+)\)/.exec(value)
  return via ? colour(theme, via[1]!) : value
}

function light(hex: string): number {
  const [r, g, b] = [1, 3, 5]
    .map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!
}

function contrast(a: string, b: string): number {
  const [x, y] = [light(a), light(b)].sort((p, q) => q - p)
  return (x! + 0.05) / (y! + 0.05)
}

const surfaces = ['bg', 'surface', 'sunken']
const pairs: [string, string[]][] = [
  ['text', [...surfaces, 'warn-soft', 'danger-soft', 'action-soft', 'live-soft']],
  ['text-2', [...surfaces, 'line']],
  ['action', [...surfaces, 'action-soft']],
  ['link', surfaces],
  ['data', surfaces],
  ['price', surfaces],
  ['warn', [...surfaces, 'warn-soft']],
  ['danger', [...surfaces, 'danger-soft']],
  ['on-action', ['action', 'action-strong']],
  ['on-live', ['live', 'live-strong']],
]

describe.each(Object.entries(themes))('%s', (_, theme) => {
  it.each(pairs.flatMap(([text, on]) => on.map((ground) => [text, ground] as const)))('%s on %s', (text, ground) => {
    expect(contrast(colour(theme, text), colour(theme, ground))).toBeGreaterThanOrEqual(4.5)
  })
})

it.each(['light', 'dark'] as const)('edges of fields reach 3:1 in %s', (name) => {
  expect(contrast(colour(themes[name], 'edge'), colour(themes[name], 'surface'))).toBeGreaterThanOrEqual(3)
})
