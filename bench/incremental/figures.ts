/** The figures of this part and the charts they make. Pure. */
import type { BenchChart, BenchFigure } from '../harness/part.js'
import {
  amortisedRatio,
  checkpointsText,
  percent,
  readsText,
  totalMs,
  type ChangeOutcome,
  type Outcomes,
  type StreamOutcome,
} from './outcome.js'
import { CHANGE_PERCENT, MANY_CHECKPOINTS, MIDDLE_MB, SMALL_MB } from './plan.js'

const DURING = 'while a checkpoint runs'
const BETWEEN = 'between checkpoints'

export function figuresOf({ changes, streams }: Outcomes): BenchFigure[] {
  return [...changes.flatMap(figuresOfChanges), ...streams.flatMap(figuresOfStream)]
}

function loadText({ cell }: ChangeOutcome): string {
  return `${cell.stateMb} MB, ${percent(cell.changePercent)}, ${cell.keys}, ${readsText(cell.reads)}`
}

function figuresOfChanges(outcome: ChangeOutcome): BenchFigure[] {
  const { cell, contender, result } = outcome
  const { checkpoints } = result
  const load = loadText(outcome)
  const ratio = amortisedRatio(checkpoints)
  const each = { contender, unit: 'ms', kind: 'latency' } as const
  return [
    {
      name: `uploaded per checkpoint: ${load}`,
      contender,
      kind: 'size',
      unit: 'bytes',
      samples: checkpoints.map(({ uploadedBytes }) => uploadedBytes),
    },
    {
      name: ratioByChange(outcome),
      contender,
      x: cell.changePercent,
      kind: 'cost',
      unit: 'times',
      samples: [ratio],
    },
    { ...each, name: `sync time: ${load}`, samples: checkpoints.map(({ syncMs }) => syncMs) },
    { ...each, name: `async time: ${load}`, samples: checkpoints.map(({ asyncMs }) => asyncMs) },
    { ...each, name: `time of a checkpoint: ${load}`, samples: checkpoints.map(totalMs) },
    {
      name: timeByState(outcome),
      contender,
      x: cell.stateMb,
      kind: 'latency',
      unit: 'ms',
      samples: checkpoints.map(totalMs),
    },
    {
      name: `throughput, no checkpoint: ${load}`,
      contender,
      kind: 'throughput',
      unit: 'ops/s',
      samples: result.operationsPerSecond,
    },
    { ...each, name: `restore: ${load}`, samples: [result.restoreMs] },
    ...checkpoints.map(({ uploadedBytes }, index): BenchFigure => ({
      name: uploadedByNumber(outcome),
      contender,
      x: index + 1,
      kind: 'size',
      unit: 'bytes',
      samples: [uploadedBytes],
    })),
  ]
}

function ratioByChange({ cell }: ChangeOutcome): string {
  const load = `${cell.stateMb} MB, ${cell.keys}, ${readsText(cell.reads)}`
  return `uploaded / changed by change: ${load}, ${checkpointsText(cell)}`
}

function timeByState({ cell }: ChangeOutcome): string {
  const changedMb = Number(((cell.stateMb * cell.changePercent) / 100).toPrecision(3))
  return `time by state: ${changedMb} MB changed, ${cell.keys}, ${readsText(cell.reads)}`
}

function uploadedByNumber(outcome: ChangeOutcome): string {
  return `uploaded by checkpoint: ${loadText(outcome)}`
}

function figuresOfStream({ cell, contender, samples }: StreamOutcome): BenchFigure[] {
  const load = `${cell.stateMb} MB, ${cell.keys}, ${readsText(cell.reads)}`
  const figure = (when: string, values: readonly number[]): BenchFigure => ({
    name: `throughput ${when}: ${load}`,
    contender,
    kind: 'throughput',
    unit: 'ops/s',
    samples: values,
  })
  const during = samples.map(({ duringPerSecond }) => duringPerSecond)
  const between = samples.map(({ betweenPerSecond }) => betweenPerSecond)
  return [
    figure(DURING, during),
    figure(BETWEEN, between),
    {
      name: `time of a checkpoint under load: ${load}`,
      contender,
      kind: 'latency',
      unit: 'ms',
      samples: samples.map(totalMs),
    },
  ]
}

/** Long enough for merges and rebases; the longest where none is. Of the change that goals are about, where it was measured. */
function longRuns(changes: readonly ChangeOutcome[]): ChangeOutcome[] {
  const judged = changes.filter(({ cell }) => cell.changePercent === CHANGE_PERCENT)
  const shown = judged.length > 0 ? judged : [...changes]
  const longest = Math.max(...shown.map(({ cell }) => cell.checkpoints))
  const many = Math.min(longest, MANY_CHECKPOINTS.uniform)
  return shown.filter(({ cell }) => cell.checkpoints >= many)
}

export function chartsOf(outcomes: Outcomes): BenchChart[] {
  const { changes } = outcomes
  const names = [...new Set(figuresOf(outcomes).map(({ name }) => name))]
  const startingWith = (start: string, also = ''): string[] =>
    names.filter((name) => name.startsWith(start) && name.includes(also))
  const middle = `: ${MIDDLE_MB} MB, ${percent(CHANGE_PERCENT)}`
  const title = `${MIDDLE_MB} MB of state, ${percent(CHANGE_PERCENT)}`
  const charts: BenchChart[] = [
    {
      title: `Uploaded per checkpoint: ${title}`,
      kind: 'bars',
      yLabel: 'bytes',
      yScale: 'log',
      names: startingWith(`uploaded per checkpoint${middle}`),
    },
    {
      title: `Uploaded for each byte changed, all checkpoints together: ${SMALL_MB} MB of state`,
      kind: 'lines',
      xLabel: '% of the keys changed between checkpoints',
      xScale: 'log',
      yLabel: 'times the changed bytes',
      yScale: 'log',
      names: startingWith(`uploaded / changed by change: ${SMALL_MB} MB`),
    },
    {
      title: 'What each checkpoint uploads: merges and rebases',
      kind: 'lines',
      xLabel: 'checkpoint',
      xScale: 'linear',
      yLabel: 'bytes',
      yScale: 'log',
      names: [...new Set(longRuns(changes).map(uploadedByNumber))],
    },
    {
      title: `Time of a checkpoint: ${title}`,
      kind: 'bars',
      yLabel: 'ms until it is durable',
      yScale: 'log',
      names: startingWith(`time of a checkpoint${middle}`),
    },
    {
      title: `How long the stream stands at a checkpoint: ${title}`,
      kind: 'bars',
      yLabel: 'ms',
      yScale: 'log',
      names: startingWith(`sync time${middle}`),
    },
    {
      title: 'Throughput of a stream that never stands',
      kind: 'bars',
      yLabel: 'reads and writes per second',
      yScale: 'linear',
      names: [...startingWith(`throughput ${BETWEEN}`), ...startingWith(`throughput ${DURING}`)],
    },
    {
      title: `Restore, until the first read: ${title}`,
      kind: 'bars',
      yLabel: 'ms',
      yScale: 'log',
      names: startingWith(`restore${middle}`),
    },
    {
      title: 'Time of a checkpoint as state grows, the change held fixed',
      kind: 'lines',
      xLabel: 'MB of state',
      xScale: 'log',
      yLabel: 'ms until it is durable',
      yScale: 'log',
      names: startingWith('time by state', 'uniform, 0 reads').filter(
        (name) =>
          new Set(changes.filter((o) => timeByState(o) === name).map((o) => o.cell.stateMb)).size >
          1,
      ),
    },
  ]
  return charts.filter((chart) => chart.names.length > 0)
}
