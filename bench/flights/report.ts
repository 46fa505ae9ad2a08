/** What the main job shows: a progress bar on a terminal, plain lines elsewhere, and a table at the end. */
import { MultiBar, type SingleBar } from 'cli-progress'
import { Table } from 'console-table-printer'
import type { CheckpointSummary } from './messages.js'

export interface Report {
  line(text: string): void
  progress(records: number): void
  /** No progress after this. */
  stop(): void
}

export function startReport(totalRecords: number): Report {
  return process.stdout.isTTY ? terminalReport(totalRecords) : plainReport()
}

function plainReport(): Report {
  return {
    line: (text) => process.stdout.write(`${text}\n`),
    progress: () => undefined,
    stop: () => undefined,
  }
}

function terminalReport(totalRecords: number): Report {
  const bars = new MultiBar({
    format: '{bar} {percentage}%  {value} of {total} flights',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: false,
  })
  const bar: SingleBar = bars.create(totalRecords, 0)
  return {
    line: (text) => bars.log(`${text}\n`),
    progress: (records) => bar.update(records),
    stop: () => bars.stop(),
  }
}

export function checkpointLine(event: CheckpointSummary): string {
  const id = `checkpoint ${String(event.checkpointId).padStart(3)}`
  if (event.status === 'aborted') return `${id}  aborted (${event.reason}): ${event.failure ?? ''}`
  const { kind, uploadedBytes, stateBytes, syncMs, asyncMs } = event
  return (
    `${id}  ${kind.padEnd(6)}  ${bytes(uploadedBytes).padStart(9)} uploaded  ${bytes(stateBytes).padStart(9)} of state  ` +
    `${syncMs.toFixed(2).padStart(6)} ms sync  ${asyncMs.toFixed(0).padStart(5)} ms async`
  )
}

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`
  return `${(count / 1e6).toFixed(1)} MB`
}

export function whole(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** A table of two columns. */
export function table(rows: readonly (readonly [what: string, value: string])[]): string {
  const printed = new Table({
    shouldDisableColors: true,
    columns: [
      { name: 'what', title: 'main job', alignment: 'left' },
      { name: 'value', title: ' ', alignment: 'right' },
    ],
    rows: rows.map(([what, value]) => ({ what, value })),
  })
  return printed.render()
}
