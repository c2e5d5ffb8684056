// What days, differences and providers are called.
import type { DifferenceKind, Reconciliation } from '@/api/desk'
import { locale } from '@/i18n'
import { t } from './messages'

const kinds: Record<DifferenceKind, Parameters<typeof t>[0]> = {
  missing_here: 'kindMissingHere',
  missing_there: 'kindMissingThere',
  amount_differs: 'kindAmount',
  state_differs: 'kindState',
  refund_differs: 'kindRefund',
}
const states: Record<Reconciliation['state'], { word: Parameters<typeof t>[0]; kind: 'warn' | 'danger' | 'good' }> = {
  waiting: { word: 'stateWaiting', kind: 'warn' },
  failed: { word: 'stateFailed', kind: 'danger' },
  done: { word: 'stateDone', kind: 'good' },
}
const providers: Record<string, [string, string]> = {
  wechat: ['微信支付', 'WeChat Pay'],
  alipay: ['支付宝', 'Alipay'],
  sandbox: ['演示支付', 'Demo payment'],
}

export const differenceKinds = Object.keys(kinds) as DifferenceKind[]
export const kindOf = (kind: DifferenceKind): string => t(kinds[kind])
export const dayState = (r: Reconciliation) => ({ word: t(states[r.state].word), kind: states[r.state].kind })
export const providerName = (name: string): string => providers[name]?.[locale.value === 'en' ? 1 : 0] ?? name
