/**
 * Restore at other parallelisms: random splits and merges with writes, deletes, clears and checkpoints between, on both backends,
 * against plain objects. A failing run names its seed; `TEST_SEED=<seed> npx vitest run test/restore/rescale` repeats it.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { computeKeyGroupRangeForOperatorIndex } from '../../src/record/key-group-range-assignment.js'
import { seedOfRun } from '../support/random.js'
import { collect, groupOf } from '../support/state-task.js'
import { KEYS, MAX_PARALLELISM, PARALLELISMS, RescaledJob } from './rescaled-job.js'

const ROUNDS = 100
/** What there is to be in every run of so many rounds, whatever its seed. */
const MUST_BE_SEEN = [
  ...PARALLELISMS.map((parallelism) => `parallelism ${parallelism}`),
  'leveldb',
  'hashmap',
  'checkpoint',
  'full-checkpoint',
  'savepoint',
  'aborted checkpoint',
  'snapshot by delta',
  'snapshot by merge',
  'snapshot by rebase',
  'delete',
  'clear of a spilled map',
  'clear of a list',
  'empty task',
  'scan of local files',
]
/** A full look into every table of a checkpoint, and on local disk, once in so many rounds. */
const SCAN_EVERY = 5

let job: RescaledJob | undefined
afterEach(() => job?.close())

describe('rescaling', () => {
  const base = seedOfRun()
  it.each([base, base + 1, base + 2])(
    `keeps every row in exactly one task through ${ROUNDS} splits and merges, seed %i`,
    async (seed) => {
      job = new RescaledJob(seed)
      const { random } = job
      for (let round = 0; round < ROUNDS; round++) {
        await job.restart(job.rangesOfRound(round))
        if (round % SCAN_EVERY === 0) job.expectFilesInRange()
        await job.expectModel()
        for (let checkpoints = 1 + random.below(3); checkpoints > 0; checkpoints--) {
          for (let writes = random.below(150); writes > 0; writes--) job.write()
          const full = random.chance(0.1)
          const completes = checkpoints === 1 || random.chance(0.7)
          await job.checkpoint(completes, full ? 'full-checkpoint' : 'checkpoint')
        }
        if (random.chance(0.1)) {
          for (let writes = random.below(50); writes > 0; writes--) job.write()
          await job.savepoint()
        }
        if (round % SCAN_EVERY === 0) await job.expectTablesInRange()
      }
      // A test that lost one of these would go on passing.
      for (const what of MUST_BE_SEEN) expect(job.seen.get(what) ?? 0, what).toBeGreaterThan(0)
    },
    300_000,
  )

  it('keeps deleted what one half deleted after a split, when the halves merge again', async () => {
    job = new RescaledJob(1)
    const whole = [KeyGroupRange.of(0, 76)]
    const halves = [KeyGroupRange.of(0, 40), KeyGroupRange.of(41, 76)]
    await job.restart(whole)
    for (let key = 0; key < KEYS; key++) {
      job.at(key).value.update('first')
      job.model.values.set(key, 'first')
    }
    await job.checkpoint(true)
    await job.restart(halves)
    for (let key = 0; key < KEYS; key += 2) {
      if (key % 4 === 0) {
        job.at(key).value.clear()
        job.model.values.delete(key)
      } else {
        job.at(key).value.update('second')
        job.model.values.set(key, 'second')
      }
    }
    await job.checkpoint(true)
    await job.expectTablesInRange()
    await job.restart(whole)
    await job.expectModel()
    await job.checkpoint(true)
    await job.restart(halves)
    await job.expectModel()
  })
})

describe('an in-memory backend', () => {
  it('never takes a new table for a restored one of the same number, where a clip left none', async () => {
    job = new RescaledJob(5, { smallStateBytes: 500 })
    const middle = KeyGroupRange.of(20, 40)
    await job.restart([KeyGroupRange.of(0, 76)], 'leveldb')
    const keys = Array.from({ length: KEYS }, (_, key) => key)
    const within = keys.filter((key) => middle.contains(groupOf(key, MAX_PARALLELISM)))
    // The first table has keys on both sides of the range and none in it; the second is all in it.
    for (const key of keys) if (!within.includes(key)) job.at(key).value.update('x')
    await job.checkpoint(true)
    for (const key of within.slice(0, 3)) job.at(key).value.update('first')
    await job.checkpoint(true)
    await job.restart([middle], 'hashmap')
    for (const key of within) job.at(key).value.update('second')
    await job.checkpoint(true)
    await job.restart([middle], 'hashmap')
    expect(within.map((key) => job?.at(key).value.value())).toEqual(within.map(() => 'second'))
  })
})

describe('the first checkpoint after a rescale', () => {
  it('uploads only what was cut and what changed', async () => {
    job = new RescaledJob(2, {})
    await job.restart(
      [0, 1, 2, 3].map((index) => computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, 4, index)),
    )
    for (let key = 0; key < KEYS; key++) job.at(key).value.update('x'.repeat(50))
    await job.checkpoint(true)
    const before = new Set(job.handles.flatMap((handle) => handle.objects().shared))
    await job.restart([KeyGroupRange.of(0, 76)])
    await job.checkpoint(true)
    const [handle] = job.handles
    // Four whole tables are united: nothing is cut, so nothing of them goes up again.
    expect(handle?.objects().shared.toSorted()).toEqual([...before].toSorted())
    expect(handle?.checkpointedSize).toBe(handle?.metaState.sizeBytes)
  })
})

describe('handles', () => {
  it('that overlap are refused', async () => {
    job = new RescaledJob(3)
    await job.restart([KeyGroupRange.of(0, 76)])
    job.at(1).value.update('x')
    await job.checkpoint(true)
    job.handles = [...job.handles, ...job.handles]
    await expect(job.restart([KeyGroupRange.of(3, 9)])).rejects.toMatchObject({
      code: 'RESTORE_MISMATCH',
    })
  })

  it('of nothing in the range give an empty backend', async () => {
    job = new RescaledJob(4)
    await job.restart([KeyGroupRange.of(0, 40), KeyGroupRange.of(41, 76)])
    for (let key = 0; key < KEYS; key++) job.at(key).value.update('x')
    await job.checkpoint(true)
    job.handles = job.handles.slice(0, 1)
    await job.restart([KeyGroupRange.of(41, 76)])
    const [task] = job.tasks
    expect(task === undefined ? [] : await collect(task.backend.getKeys('value'))).toEqual([])
  })
})
