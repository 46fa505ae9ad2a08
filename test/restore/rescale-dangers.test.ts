/**
 * The danger of a rescale, by name: a range is split, both halves write and delete, and they merge again. A table that kept a value or a
 * tombstone of the other half would bring back what was deleted, or delete what is live.
 */
import { afterEach, describe, expect, it } from 'vitest'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { groupOf, type BackendKind } from '../support/state-task.js'
import {
  BASES,
  BOUNDARY_GROUPS,
  DELTAS_ONLY,
  HALVES,
  isAtBoundary,
  KEYS,
  MAX_PARALLELISM,
  SplitJob,
  UNEVEN,
  WHOLE,
} from './split-job.js'

let job: SplitJob | undefined
afterEach(() => job?.close())

/** Several tables, each over all key groups. */
async function startWhole(kind: BackendKind, policy: Partial<RebasePolicy>): Promise<SplitJob> {
  job = new SplitJob(kind, policy)
  await job.restart(WHOLE)
  job.write((key) => `first ${key}`)
  await job.checkpoint()
  job.write((key) => (key % 3 === 0 ? `second ${key}` : null))
  await job.checkpoint()
  return job
}

/** Both halves overwrite, delete, and write again what was deleted. */
async function writeAndDelete(split: SplitJob, round: string): Promise<void> {
  split.write((key) => (key % 4 === 0 ? undefined : key % 4 === 1 ? `${round} ${key}` : null))
  await split.checkpoint()
  split.write((key) => (key % 8 === 0 ? `${round} again ${key}` : key % 8 === 1 ? undefined : null))
  await split.checkpoint()
}

const KINDS: BackendKind[] = ['leveldb', 'hashmap']

describe.each(KINDS)(
  '[0, 63] splits in two, both write and delete, they merge again: %s',
  (kind) => {
    it.each([
      ['with bases', BASES, 'base'],
      ['with deltas only', DELTAS_ONLY, 'delta'],
    ] as const)('%s', async (_, policy, role) => {
      const split = await startWhole(kind, policy)
      for (const [round, ranges] of [HALVES, UNEVEN, HALVES].entries()) {
        await split.restart(ranges)
        await split.expectModel(`split, round ${round}`)
        await writeAndDelete(split, `round ${round}`)
        await split.expectTablesInRange()
        const roles = new Set((await split.tables()).map((table) => table.role))
        expect(roles, 'the kind of table that this test is about').toContain(role)
        if (role === 'delta') expect(roles).toEqual(new Set(['delta']))
        await split.restart(WHOLE)
        await split.expectModel(`merged, round ${round}`)
        await split.compact()
        await split.expectModel(`merged and compacted, round ${round}`)
        await split.checkpoint()
      }
    })

    it.each([
      ['with bases', BASES],
      ['with deltas only', DELTAS_ONLY],
    ] as const)('%s, with tombstones at the boundaries', async (_, policy) => {
      const split = await startWhole(kind, policy)
      // Tombstones of every boundary group, newer than the values, in a table that the split cuts.
      split.write((key) => (isAtBoundary(key) ? undefined : null))
      await split.checkpoint()
      const cut = (await split.tables()).filter(({ tombstoneGroups }) => tombstoneGroups.length > 0)
      if (kind === 'leveldb' && policy === DELTAS_ONLY) {
        expect(cut.map(({ tombstoneGroups }) => tombstoneGroups)).toContainEqual(BOUNDARY_GROUPS)
      }
      for (const [round, ranges] of [HALVES, UNEVEN].entries()) {
        await split.restart(ranges)
        await split.expectModel(`split, round ${round}`)
        // Each half writes its side of the boundary again, and deletes the next keys inward.
        split.write((key) => (isAtBoundary(key) ? `live ${round} ${key}` : null))
        await split.checkpoint()
        await split.expectTablesInRange()
        await split.restart(WHOLE)
        await split.expectModel(`merged, round ${round}`)
        await split.restart(ranges)
        split.write((key) => (isAtBoundary(key) ? undefined : null))
        await split.checkpoint()
        await split.expectTablesInRange()
        await split.restart(WHOLE)
        await split.expectModel(`merged without the boundaries, round ${round}`)
        await split.compact()
        await split.expectModel(`compacted without the boundaries, round ${round}`)
        await split.checkpoint()
      }
    })

    it.each([
      ['with bases', BASES],
      ['with deltas only', DELTAS_ONLY],
    ] as const)('%s, with a savepoint between', async (_, policy) => {
      const split = await startWhole(kind, policy)
      split.write((key) => (key % 5 === 0 ? undefined : null))
      await split.savepoint()
      await split.restart(HALVES)
      await split.expectModel('split from the savepoint')
      await writeAndDelete(split, 'after the savepoint')
      await split.savepoint()
      await split.expectTablesInRange()
      await split.restart(WHOLE)
      await split.expectModel('merged from the savepoint')
      split.write((key) => (isAtBoundary(key) ? undefined : key % 7 === 0 ? `merged ${key}` : null))
      await split.checkpoint()
      await split.restart(UNEVEN)
      await split.expectModel('split again')
      await writeAndDelete(split, 'split again')
      await split.expectTablesInRange()
      await split.restart(WHOLE)
      await split.compact()
      await split.expectModel('merged again')
    })
  },
)

it('one half alone deletes everything it has: the other loses nothing', async () => {
  const split = await startWhole('leveldb', DELTAS_ONLY)
  await split.restart(HALVES)
  split.write((key) => (groupOf(key, MAX_PARALLELISM) <= 31 ? undefined : null))
  await split.checkpoint()
  await split.expectTablesInRange()
  await split.restart(WHOLE)
  await split.expectModel('merged')
  expect(split.model.size).toBeGreaterThan(KEYS / 3)
  await split.compact()
  await split.expectModel('compacted')
  await split.checkpoint()
  await split.restart(HALVES)
  await split.expectModel('split again')
})
