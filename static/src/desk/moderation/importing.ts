// Reading a list of words: the bytes of a file, and what the server says of lines.
import { locale } from '@/i18n'
import { t } from './messages'

/** A file's text; lists made with older programs are in GB 18030 rather than UTF-8. */
export function decode(bytes: BufferSource): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return new TextDecoder('gb18030').decode(bytes)
  }
}

const known: [RegExp, Parameters<typeof t>[0]][] = [
  [/^has no word/, 'lineNoWord'],
  [/^has no letter/, 'lineNoLetter'],
  [/^has more than (\d+) characters/, 'lineLong'],
  [/^has a note of more than/, 'lineNoteLong'],
  [/^is a single letter/, 'lineSingle'],
  [/^is a single character/, 'lineSingleHan'],
  [/^is the same as line (\d+)/, 'lineTwice'],
  [/^is beyond the (\d+)/, 'lineBeyond'],
]

/** What is wrong with a line, in the reader's language; what is not known here as the server says it. */
export function problemOf(text: string): string {
  if (locale.value === 'en') return text
  for (const [said, words] of known) {
    const m = said.exec(text)
    if (m) return t(words, { n: m[1] ?? '' })
  }
  return text
}
