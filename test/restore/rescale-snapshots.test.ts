/** Full checkpoints and savepoints, taken by either backend and restored by either, at another parallelism: each is all that is left. */
import { afterEach, describe, expect, it } from 'vitest'
import type { BackendKind } from '../support/state-task.js'
import {
  BASES,
  BOUNDARY_GROUPS,
  DELTAS_ONLY,
  HALVES,
  isAtBoundary,
  SplitJob,
  UNEVEN,
  WHOLE,
} from './split-job.js'

const KINDS: BackendKind[] = ['leveldb', 'hashmap']
const WAYS = KINDS.flatMap((from) => KINDS.map((to): [BackendKind, BackendKind] => [from, to]))
type SnapshotOf = (split: SplitJob) => Promise<void>
const SNAPSHOTS: [string, SnapshotOf][] = [
  ['a full checkpoint', (split) => split.fullCheckpoint()],
  ['a savepoint', (split) => split.savepoint()],
]

let job: SplitJob | undefined
afterEach(() => job?.close())

/** Takes the snapshot, deletes all else, and restores it. */
async function carryOver(
  split: SplitJob,
  snapshot: SnapshotOf,
  [ranges, kind]: [typeof WHOLE, BackendKind],
): Promise<void> {
  await snapshot(split)
  await split.expectTablesInRange()
  await split.deleteAllOthers()
  await split.restart(ranges, kind)
  await split.expectModel(`over ${ranges.length} ranges`)
}

describe.each(SNAPSHOTS)('rescaled from %s', (_, snapshot) => {
  it.each(WAYS)('with bases, from %s to %s and back', async (from, to) => {
    const split = (job = new SplitJob(from, BASES))
    await split.restart(WHOLE)
    split.write((key) => `first ${key}`)
    await split.checkpoint()
    split.write((key) => (key % 3 === 0 ? undefined : null))
    await split.compact()
    await carryOver(split, snapshot, [HALVES, to])
    split.write((key) => (isAtBoundary(key) ? undefined : key % 5 === 0 ? `halves ${key}` : null))
    await split.compact()
    await carryOver(split, snapshot, [UNEVEN, from])
    expect(new Set((await split.tables()).map(({ role }) => role))).toContain('base')
    split.write((key) => (isAtBoundary(key) ? `uneven ${key}` : key % 7 === 0 ? undefined : null))
    await carryOver(split, snapshot, [WHOLE, to])
    await split.compact()
    await split.expectModel('united and compacted')
    // An incremental one on top, which names tables of the job only.
    split.write((key) => (key % 11 === 0 ? undefined : null))
    await split.checkpoint()
    await split.deleteAllOthers()
    await split.restart(HALVES, from)
    await split.expectModel('after an incremental checkpoint')
  })

  it.each(KINDS)(
    'with deltas only, tombstones at the boundaries, from leveldb to %s',
    async (to) => {
      const split = (job = new SplitJob('leveldb', DELTAS_ONLY))
      await split.restart(WHOLE)
      split.write((key) => `first ${key}`)
      await split.checkpoint()
      // LevelDB has flushed nothing yet, so that these are all there is.
      split.write((key) => (isAtBoundary(key) ? undefined : null))
      await snapshot(split)
      const tables = await split.tables()
      expect(tables.map(({ role }) => role)).toEqual(['delta', 'delta'])
      expect(tables[1]?.tombstoneGroups).toEqual(BOUNDARY_GROUPS)
      await split.deleteAllOthers()
      for (const [round, ranges] of [HALVES, WHOLE, UNEVEN, WHOLE].entries()) {
        await split.restart(ranges, to)
        await split.expectModel(`round ${round}`)
        split.write((key) => {
          if (!isAtBoundary(key)) return key % 6 === round ? undefined : null
          return round % 2 === 0 ? `live ${round} ${key}` : undefined
        })
        // Of what was not compacted: each delta goes on as it is, or cut.
        await split.checkpoint()
        await carryOver(split, snapshot, [ranges, 'leveldb'])
      }
      await split.compact()
      await split.expectModel('compacted')
    },
  )
})
