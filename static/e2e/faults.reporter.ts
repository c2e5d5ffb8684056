// Prints the table of faults with what was measured, and keeps it in test-results/faults.md.
import type { FullConfig, Reporter, TestCase, TestResult } from '@playwright/test/reporter'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Row {
  fault: string
  accepted: string
  value: string
  met: boolean
}

export default class FaultTable implements Reporter {
  private readonly lines = ['| fault | accepted when | measured | |', '|---|---|---|---|']
  private folder = ''

  onBegin(config: FullConfig): void {
    this.folder = join(config.rootDir, '..', 'test-results')
  }

  onTestEnd(test: TestCase, result: TestResult): void {
    const rows = result.annotations.filter((a) => a.type === 'measured').map((a) => JSON.parse(a.description!) as Row)
    for (const r of rows) this.lines.push(`| ${r.fault} | ${r.accepted} | ${r.value} | ${r.met ? 'ok' : 'NOT MET'} |`)
    if (rows.length === 0 || (result.status !== 'passed' && rows.every((r) => r.met)))
      this.lines.push(`| ${test.title} | | ${result.error?.message?.split('\n')[0] ?? ''} | ${result.status} |`)
  }

  onEnd(): void {
    const table = this.lines.join('\n') + '\n'
    mkdirSync(this.folder, { recursive: true })
    writeFileSync(join(this.folder, 'faults.md'), table)
    process.stdout.write(`\n${table}`)
  }
}
