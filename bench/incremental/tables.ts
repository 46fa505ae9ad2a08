/** The figures for people: a line for each load and contender. */
import { Table } from 'console-table-printer'
import { spreadOf } from '../harness/statistics.js'
import type { CheckpointSample } from './measure.js'
import { amortisedRatio, percent, type ChangeOutcome, type StreamOutcome } from './outcome.js'

const RIGHT = 'right' as const

export function changeTable(outcomes: readonly ChangeOutcome[]): string {
  const table = new Table({
    shouldDisableColors: true,
    columns: [
      { name: 'load', alignment: 'left' },
      { name: 'contender', alignment: 'left' },
      ...[
        'n',
        'uploaded KB',
        '/ changed',
        'all / changed',
        'kinds',
        'sync ms',
        'async ms',
        'k ops/s',
        'restore ms',
      ].map((name) => ({ name, alignment: RIGHT })),
    ],
  })
  for (const { cell, contender, result } of outcomes) {
    const { checkpoints } = result
    const ratios = checkpoints.map((sample) => sample.uploadedBytes / sample.changedBytes)
    table.addRow({
      load: `${cell.stateMb} MB, ${percent(cell.changePercent)}, ${cell.keys}, ${cell.reads} reads`,
      contender,
      n: checkpoints.length,
      'uploaded KB': spreadText(checkpoints.map(({ uploadedBytes }) => uploadedBytes / 1000)),
      '/ changed': spreadText(ratios, 2),
      'all / changed': amortisedRatio(checkpoints).toFixed(2),
      kinds: kindsText(checkpoints),
      'sync ms': spreadText(
        checkpoints.map(({ syncMs }) => syncMs),
        1,
      ),
      'async ms': spreadText(checkpoints.map(({ asyncMs }) => asyncMs)),
      'k ops/s': spreadText(result.operationsPerSecond.map((rate) => rate / 1000)),
      'restore ms': result.restoreMs.toFixed(0),
    })
  }
  return table.render()
}

export function streamTable(outcomes: readonly StreamOutcome[]): string {
  const table = new Table({
    shouldDisableColors: true,
    columns: [
      { name: 'stream', alignment: 'left' },
      { name: 'contender', alignment: 'left' },
      ...['k ops/s between', 'k ops/s during', 'checkpoint ms', 'stands ms', '/ changed'].map(
        (name) => ({ name, alignment: RIGHT }),
      ),
    ],
  })
  for (const { cell, contender, samples } of outcomes) {
    table.addRow({
      stream: `${cell.stateMb} MB, ${cell.keys}, ${cell.reads} reads`,
      contender,
      'k ops/s between': spreadText(samples.map((sample) => sample.betweenPerSecond / 1000)),
      'k ops/s during': spreadText(samples.map((sample) => sample.duringPerSecond / 1000)),
      'checkpoint ms': spreadText(samples.map(({ syncMs, asyncMs }) => syncMs + asyncMs)),
      'stands ms': spreadText(
        samples.map(({ syncMs }) => syncMs),
        1,
      ),
      '/ changed': amortisedRatio(samples).toFixed(2),
    })
  }
  return table.render()
}

/** The median, and the range where there is one. */
function spreadText(samples: readonly number[], digits = 0): string {
  const { min, median, max } = spreadOf(samples)
  const text = (value: number): string => value.toFixed(digits)
  return samples.length === 1 ? text(median) : `${text(median)} (${text(min)}-${text(max)})`
}

function kindsText(checkpoints: readonly CheckpointSample[]): string {
  const counts = new Map<string, number>()
  for (const { kind } of checkpoints) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ')
}
