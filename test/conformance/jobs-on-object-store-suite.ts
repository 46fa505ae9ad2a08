/**
 * Jobs on an `ObjectStore`, as tests: a function of a factory, beside the contract itself. A job is killed in the middle of its
 * operations on storage, its storage fails under it, and it is restored at other parallelisms.
 *
 * The same crashes, faults and splits as on the memory store, fewer of them: there everything is tried, here that the store
 * makes no difference.
 */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import type { ObjectStore } from '../../src/storage/object-store.js'
import {
  collectInto,
  countingJob,
  expectedResults,
  numbers,
  type Results,
} from '../host/counting-job.js'
import { crashAndComeBack } from '../host/crashing-job.js'
import { randomRanges, RescaledJob } from '../restore/rescaled-job.js'
import { FaultObjectStore, type Fault } from '../support/fault-object-store.js'
import { SeededRandom, seedOfRun } from '../support/random.js'
import { temporaryDirectory } from '../support/state-task.js'
import type { ObjectStoreFactory } from './object-store/fixture.js'

const RECORDS = 60
const ROUNDS = 6
/** A prime, so that deaths fall on operations of all kinds. */
const EVERY_NTH_OPERATION = 7

export function jobsOnObjectStoreSuite(name: string, factory: ObjectStoreFactory): void {
  describe(`jobs on ${name}`, () => {
    const cleanups: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const cleanup of cleanups.splice(0)) await cleanup()
    })
    async function emptyStore(): Promise<ObjectStore> {
      const { store, cleanup } = await factory()
      cleanups.push(cleanup)
      return store
    }

    it.each(['hashmap', 'leveldb'] as const)(
      'that are killed come back with every record counted once, on %s',
      async (kind) => {
        const root = temporaryDirectory()
        let deaths = 0
        for (let deadlyOperation = 1; ; deadlyOperation += EVERY_NTH_OPERATION) {
          const carriesOutTheLast = deadlyOperation % 2 === 0
          const crash = { kind, deadlyOperation, carriesOutTheLast }
          const directory = join(root, `${deadlyOperation}`)
          if (!(await crashAndComeBack(crash, directory, await emptyStore()))) break
          deaths++
        }
        expect(deaths).toBeGreaterThan(2)
      },
    )

    it('whose storage fails now and then lose no record, and leave a checkpoint to come back to', async () => {
      const seed = seedOfRun()
      const random = new SeededRandom(seed)
      const store = await emptyStore()
      const faulty = new FaultObjectStore(store)
      const job = (objectStore: ObjectStore) =>
        countingJob({
          objectStore,
          stateBackend: new HashMapStateBackend({ memory: 8 * 2 ** 20 }),
          source: numbers(RECORDS),
          checkpoints: { everyRecords: 10, tolerableFailedCheckpoints: Infinity },
        })
      faulty.plan = (): Fault => (random.chance(0.1) ? random.pick(['before', 'after']) : undefined)
      const results: Results = {}
      const run = job(faulty).run({
        scan: async (subtasks) => {
          faulty.heal()
          await collectInto(results)(subtasks)
        },
      })
      const failed = await run.then(
        () => false,
        () => true,
      )
      if (!failed) expect(results, `seed ${seed}`).toEqual(expectedResults(RECORDS))
      const again: Results = {}
      await job(store).run({ scan: collectInto(again) })
      expect(again, `seed ${seed}`).toEqual(expectedResults(RECORDS))
    })

    describe('restored at other parallelisms', () => {
      let job: RescaledJob
      const seed = seedOfRun()
      beforeEach(async () => {
        job = new RescaledJob(seed, undefined, await emptyStore())
      })
      afterEach(() => job.close())

      it(`keep every row in exactly one task, seed ${seed}`, async () => {
        const { random } = job
        for (let round = 0; round < ROUNDS; round++) {
          await job.restart(randomRanges(random))
          await job.expectModel()
          for (let checkpoints = 2; checkpoints > 0; checkpoints--) {
            for (let writes = random.below(150); writes > 0; writes--) job.write()
            await job.checkpoint(checkpoints === 1 || random.chance(0.7))
          }
        }
        await job.expectTablesInRange()
      })
    })
  })
}
