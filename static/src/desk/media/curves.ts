// The curves of one viewer's line as an ECharts option: estimate and bit rate, loss, round trip, on one axis of time.
import type { EChartsOption } from 'echarts'
import type { MediaMoment } from '@/api/types'
import { clockSeconds } from '@/i18n/format'
import { percent, rate, rankName } from './figures'

export interface CurveColours {
  text: string
  text2: string
  line: string
  surface: string
  estimate: string
  bitrate: string
  loss: string
  rtt: string
}

export interface CurveWords {
  estimate: string
  bitrate: string
  loss: string
  rtt: string
}

const left = 56
const right = 16

export function curvesOption(history: MediaMoment[], c: CurveColours, w: CurveWords): EChartsOption {
  const at = (pick: (m: MediaMoment) => number) => history.map((m): [number, number] => [Date.parse(m.at), pick(m)])
  const axis = (grid: number, label: boolean) => ({
    type: 'time' as const,
    gridIndex: grid,
    axisLabel: { show: label, color: c.text2, formatter: (v: number) => clockSeconds(v), hideOverlap: true },
    axisLine: { lineStyle: { color: c.line } },
    axisTick: { show: label },
    splitLine: { show: false },
  })
  const value = (grid: number, name: string) => ({
    type: 'value' as const,
    gridIndex: grid,
    name,
    min: 0,
    splitNumber: 2,
    nameTextStyle: { color: c.text2, align: 'left' as const, padding: [0, 0, 0, 8 - left] },
    axisLabel: { color: c.text2 },
    splitLine: { lineStyle: { color: c.line } },
  })
  const curve = (name: string, grid: number, colour: string, data: [number, number][], area = false) => ({
    name,
    type: 'line' as const,
    xAxisIndex: grid,
    yAxisIndex: grid,
    showSymbol: false,
    lineStyle: { width: 1.5, color: colour },
    itemStyle: { color: colour },
    ...(area ? { areaStyle: { color: colour, opacity: 0.18 } } : {}),
    data,
  })
  return {
    animation: false,
    textStyle: { fontFamily: 'inherit', color: c.text },
    aria: { enabled: false }, // the table beside it is the text of this chart
    legend: { top: 0, right: 0, textStyle: { color: c.text2 }, itemWidth: 14, itemHeight: 10, data: [w.estimate, w.bitrate] },
    grid: [
      { left, right, top: 40, height: 130 },
      { left, right, top: 206, height: 60 },
      { left, right, top: 302, height: 60 },
    ],
    xAxis: [axis(0, false), axis(1, false), axis(2, true)],
    yAxis: [value(0, 'Mbit/s'), value(1, `${w.loss} %`), value(2, `${w.rtt} ms`)],
    axisPointer: { link: [{ xAxisIndex: 'all' }], lineStyle: { color: c.text2 } },
    tooltip: {
      trigger: 'axis',
      renderMode: 'richText', // the policy forbids inline styles, which an HTML tooltip is made of
      confine: true,
      backgroundColor: c.surface,
      borderColor: c.line,
      textStyle: { color: c.text, fontSize: 13 },
      formatter: (params) => words(history, Array.isArray(params) ? (params[0]?.value as [number] | undefined)?.[0] : undefined, w),
    },
    series: [
      curve(
        w.bitrate,
        0,
        c.bitrate,
        at((m) => m.bitrate / 1e6),
        true,
      ),
      curve(
        w.estimate,
        0,
        c.estimate,
        at((m) => m.estimate / 1e6),
      ),
      curve(
        w.loss,
        1,
        c.loss,
        at((m) => m.loss * 100),
        true,
      ),
      curve(
        w.rtt,
        2,
        c.rtt,
        at((m) => m.rtt_ms),
      ),
    ],
  }
}

function words(history: MediaMoment[], at: number | undefined, w: CurveWords): string {
  const m = history.find((x) => Date.parse(x.at) === at)
  if (!m) return ''
  return [
    `${clockSeconds(m.at)} · ${rankName(m.rank)}`,
    `${w.bitrate} ${rate(m.bitrate)}`,
    `${w.estimate} ${rate(m.estimate)}`,
    `${w.loss} ${percent(m.loss)}`,
    `${w.rtt} ${Math.round(m.rtt_ms)} ms`,
  ].join('\n')
}
