/** Who is measured when. Pure. */
import { rotated } from '../harness/statistics.js'
import type { Group } from './operations.js'
import type { ContenderName } from './report.js'

/** One process. */
export interface Turn {
  readonly round: number
  readonly group: Group
  readonly contender: ContenderName
}

/** Each group, and each round of it, begins with another contender: none is always measured first. */
export function turnsOf(
  rounds: number,
  groups: readonly Group[],
  contenders: readonly ContenderName[],
): Turn[] {
  const turns: Turn[] = []
  for (let round = 0; round < rounds; round++) {
    for (const [index, group] of groups.entries()) {
      for (const contender of rotated(contenders, round * groups.length + index)) {
        turns.push({ round, group, contender })
      }
    }
  }
  return turns
}
