/** What a plan measures, in few words, for the record: two runs with the same words measured the same. Pure. */
import { readsText } from './outcome.js'
import { checkpointsOf, type Cell, type ChangeCell, type StreamCell } from './plan.js'

export function changesText(cells: readonly ChangeCell[]): string {
  const percents = new Map<string, number[]>()
  for (const cell of cells) {
    const load = loadText(cell)
    percents.set(load, [...(percents.get(load) ?? []), cell.changePercent])
  }
  return [...percents].map(([load, changes]) => `${changes.join(', ')} % of ${load}`).join('; ')
}

export function streamsText(cells: readonly StreamCell[]): string {
  return cells.map(loadText).join('; ')
}

function loadText(cell: Cell): string {
  return `${cell.stateMb} MB, ${cell.keys}, ${readsText(cell.reads)}: ${countsText(cell)} checkpoints`
}

function countsText(cell: Cell): string {
  return cell.contenders.map((name) => `${name} ${checkpointsOf(cell, name)}`).join(', ')
}
