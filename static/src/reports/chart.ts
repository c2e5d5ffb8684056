// The one chart of a report as an ECharts option: three lanes on a shared axis of time. Online people as an area with
// interruptions hatched, orders and paid yuan as bars, pins as bands. Plain values in, plain values out.
import type { EChartsOption } from 'echarts'
import type { Report } from '@/api/types'
import { clockTime, count } from '@/i18n/format'
import { money } from '@/ui/money'

export interface Colours {
  text: string
  text2: string
  line: string
  surface: string
  data: string
  paid: string
  orders: string
  pins: [string, string]
  onPin: string
  hatch: string
}

export interface Words {
  online: string
  paid: string
  orders: string
  pins: string
  interrupted: string
  refund: string
}

export interface Band {
  from: number
  to: number
  label: string
}

type Events = Report['events']

/** Stretches of one kind; an open one ends where the minutes end. */
export function bandsOf(events: Events, type: string, end: number, label: (e: Events[number]) => string): Band[] {
  return events
    .filter((e) => e.type === type)
    .map((e) => ({ from: Date.parse(e.at), to: e.to ? Date.parse(e.to) : end, label: label(e) }))
    .filter((b) => b.to > b.from)
}

/** Who explained what, for a band's label and the tooltip. */
export function pinLabel(e: Events[number], names: ReadonlyMap<string, string>): string {
  const who = Array.isArray(e.anchors) ? e.anchors.map((a) => names.get(String(a)) ?? String(a)).join('、') : ''
  return [typeof e.title === 'string' ? e.title : '', who].filter(Boolean).join(' · ')
}

const minute = 60_000

export function chartOption(
  report: Report,
  names: ReadonlyMap<string, string>,
  c: Colours,
  w: Words,
  hatch: CanvasImageSource,
  narrow: boolean,
): EChartsOption {
  const times = report.minutes.map((m) => Date.parse(m.at))
  const start = times[0] ?? Date.parse(report.session.live_at ?? report.session.starts_at)
  const end = (times.at(-1) ?? start) + minute
  const pins = bandsOf(report.events, 'pin', end, (e) => pinLabel(e, names))
  const gaps = bandsOf(report.events, 'interrupted', end, () => w.interrupted)
  const refunds = report.events.filter((e) => e.type === 'refund' && Date.parse(e.at) <= end)
  const left = narrow ? 40 : 56
  const right = narrow ? 36 : 56
  const axis = (grid: number, label: boolean) => ({
    type: 'time' as const,
    gridIndex: grid,
    min: start,
    max: end,
    axisLabel: { show: label, color: c.text2, formatter: (v: number) => clockTime(v), hideOverlap: true },
    axisLine: { lineStyle: { color: c.line } },
    axisTick: { show: label },
    splitLine: { show: false },
  })
  const value = (grid: number, name: string, side: 'left' | 'right' = 'left') => ({
    type: 'value' as const,
    gridIndex: grid,
    name,
    position: side,
    nameTextStyle: {
      color: c.text2,
      align: side === 'left' ? ('left' as const) : ('right' as const),
      padding: side === 'left' ? [0, 0, 0, -left + 8] : [0, -right + 8, 0, 0],
    },
    minInterval: 1,
    splitNumber: 3,
    axisLabel: { color: c.text2, formatter: (v: number) => (v >= 10_000 ? `${v / 10_000}w` : String(v)) },
    splitLine: { show: side === 'left', lineStyle: { color: c.line } },
  })
  return {
    animation: false,
    textStyle: { fontFamily: 'inherit', color: c.text },
    aria: { enabled: false }, // the table beside it is the text of this chart
    legend: { top: 0, right: 0, textStyle: { color: c.text2 }, itemWidth: 14, itemHeight: 10, data: [w.online, w.paid, w.orders] },
    grid: [
      { left, right, top: 48, height: 150 },
      { left, right, top: 240, height: 96 },
      { left, right, top: 348, height: 26 },
    ],
    xAxis: [axis(0, false), axis(1, false), axis(2, true)],
    yAxis: [
      value(0, w.online),
      value(1, `${w.paid} ¥`),
      value(1, w.orders, 'right'),
      { type: 'value', gridIndex: 2, show: false, min: 0, max: 1 },
    ],
    axisPointer: { link: [{ xAxisIndex: 'all' }], lineStyle: { color: c.text2 } },
    tooltip: {
      trigger: 'axis',
      renderMode: 'richText', // the policy forbids inline styles, which an HTML tooltip is made of
      confine: true,
      backgroundColor: c.surface,
      borderColor: c.line,
      textStyle: { color: c.text, fontSize: 13 },
      formatter: (params) => tooltip(Array.isArray(params) ? (params[0]?.value as [number])?.[0] : undefined, report, times, pins, gaps, w),
    },
    dataZoom: [
      {
        type: 'slider',
        xAxisIndex: [0, 1, 2],
        bottom: 0,
        height: 22,
        borderColor: c.line,
        fillerColor: 'transparent',
        handleStyle: { color: c.surface, borderColor: c.text2 },
        moveHandleSize: 0,
        dataBackground: { lineStyle: { color: c.line }, areaStyle: { color: c.line, opacity: 0.5 } },
        selectedDataBackground: { lineStyle: { color: c.data }, areaStyle: { color: c.data, opacity: 0.15 } },
        textStyle: { color: c.text2 },
        labelFormatter: (v: number) => clockTime(v),
        brushSelect: false,
      },
    ],
    series: [
      {
        name: w.online,
        type: 'line',
        xAxisIndex: 0,
        yAxisIndex: 0,
        step: 'end',
        showSymbol: false,
        lineStyle: { width: 1.5, color: c.data },
        itemStyle: { color: c.data },
        areaStyle: { color: c.data, opacity: 0.18 },
        data: [...report.minutes.map((m, i) => [times[i]!, m.online]), ...report.minutes.slice(-1).map((m) => [end, m.online])],
        markArea: {
          silent: true,
          itemStyle: { color: { image: hatch as HTMLCanvasElement, repeat: 'repeat' } },
          label: { color: c.text, fontSize: 11, position: 'insideTop' },
          data: gaps.map((b) => [{ name: b.label, xAxis: b.from }, { xAxis: Math.max(b.to, b.from + minute / 2) }]),
        },
      },
      {
        name: w.paid,
        type: 'bar',
        xAxisIndex: 1,
        yAxisIndex: 1,
        barMaxWidth: 10,
        itemStyle: { color: c.paid },
        data: report.minutes.map((m, i) => [times[i]!, m.paid_fen / 100]),
        markPoint: {
          silent: true,
          symbol: 'triangle',
          symbolSize: 9,
          symbolRotate: 180,
          itemStyle: { color: c.text2 },
          data: refunds.map((e) => ({ name: w.refund, coord: [Date.parse(e.at), 0] })),
        },
      },
      {
        name: w.orders,
        type: 'bar',
        xAxisIndex: 1,
        yAxisIndex: 2,
        barMaxWidth: 10,
        itemStyle: { color: c.orders },
        data: report.minutes.map((m, i) => [times[i]!, m.orders]),
      },
      {
        name: w.pins,
        type: 'custom',
        xAxisIndex: 2,
        yAxisIndex: 3,
        tooltip: { show: false },
        data: pins.map((b) => [b.from, b.to]),
        encode: { x: [0, 1] },
        renderItem: (params, api) => {
          const at = params.dataIndex
          const band = pins[at]!
          const box = params.coordSys as unknown as { x: number; y: number; width: number; height: number }
          const x0 = Math.max(api.coord([band.from, 0])[0]!, box.x)
          const x1 = Math.min(api.coord([band.to, 0])[0]!, box.x + box.width)
          if (x1 <= x0) return undefined
          return {
            type: 'rect',
            shape: { x: x0, y: box.y, width: Math.max(1, x1 - x0 - 1), height: box.height, r: 3 },
            style: { fill: c.pins[at % 2] },
            textContent: {
              type: 'text',
              style: { text: band.label, fill: c.onPin, fontSize: 11, width: Math.max(0, x1 - x0 - 8), overflow: 'truncate', ellipsis: '' },
            },
            textConfig: { position: 'insideLeft' },
          }
        },
      },
    ],
  }
}

function tooltip(at: number | undefined, report: Report, times: number[], pins: Band[], gaps: Band[], w: Words): string {
  const i = at === undefined ? -1 : times.indexOf(at)
  const m = report.minutes[i]
  if (!m || at === undefined) return ''
  const during = (bands: Band[]): string[] => bands.filter((b) => b.from < at + minute && b.to > at).map((b) => b.label)
  return [
    clockTime(at),
    `${w.online} ${count(m.online)}`,
    `${w.paid} ${money(m.paid_fen)}`,
    `${w.orders} ${count(m.orders)}`,
    ...during(pins),
    ...during(gaps),
  ].join('\n')
}
