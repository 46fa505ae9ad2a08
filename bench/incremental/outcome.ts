/** What was measured, and the sums that goals, figures and tables are made of. Pure. */
import type { ChangeResult, CheckpointSample, StreamSample } from './measure.js'
import type { ContenderName } from './names.js'
import type { ChangeCell, StreamCell } from './plan.js'

export interface ChangeOutcome {
  readonly cell: ChangeCell
  readonly contender: ContenderName
  readonly result: ChangeResult
}

export interface StreamOutcome {
  readonly cell: StreamCell
  readonly contender: ContenderName
  readonly samples: readonly StreamSample[]
}

export interface Outcomes {
  readonly changes: readonly ChangeOutcome[]
  readonly streams: readonly StreamOutcome[]
}

/** Bytes uploaded for each byte that changed, over all of them together: what many checkpoints cost. */
export function amortisedRatio(checkpoints: readonly CheckpointSample[]): number {
  const sum = (of: (sample: CheckpointSample) => number): number =>
    checkpoints.reduce((total, sample) => total + of(sample), 0)
  return sum(({ uploadedBytes }) => uploadedBytes) / sum(({ changedBytes }) => changedBytes)
}

export function totalMs({ syncMs, asyncMs }: CheckpointSample): number {
  return syncMs + asyncMs
}

export function percent(changePercent: number): string {
  return `${changePercent} % changed`
}

export function readsText(reads: number): string {
  return reads === 1 ? '1 read per write' : `${reads} reads per write`
}

/** How many of a load's checkpoints a sum is of, in the names of figures: the same whoever is measured. */
export function checkpointsText({ checkpoints, fewer }: ChangeCell): string {
  return Object.keys(fewer).length === 0
    ? `${checkpoints} checkpoints`
    : `up to ${checkpoints} checkpoints`
}
