// Money is an integer number of fen everywhere; only here does it become text.

/** The parts of a price as they are set: ¥ small, yuan large, fen small (empty for round yuan unless asked for). */
export function moneyParts(fen: number, always = false): { sign: string; yuan: string; fen: string } {
  const whole = Math.abs(Math.trunc(fen))
  const rest = whole % 100
  return {
    sign: fen < 0 ? '−¥' : '¥',
    yuan: Math.floor(whole / 100)
      .toString()
      .replace(/\B(?=(\d{3})+$)/g, ','),
    fen: rest === 0 && !always ? '' : `.${String(rest).padStart(2, '0')}`,
  }
}

/** A price as one string: ¥1,234.50. */
export function money(fen: number, always = false): string {
  const p = moneyParts(fen, always)
  return p.sign + p.yuan + p.fen
}

/** What a person typed as yuan ("128", "128.5", "1,280.50", "¥128") in fen; null when it is not an amount. */
export function parseYuan(text: string): number | null {
  const m = /^¥?(\d{1,9})(?:\.(\d{1,2}))?$/.exec(text.trim().replace(/[,,\s]/g, ''))
  return m ? Number(m[1]) * 100 + Number((m[2] ?? '').padEnd(2, '0')) : null
}
