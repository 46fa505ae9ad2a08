/**
 * What a publication asks of storage, and in which order: `_metadata`, then one look at the epoch. And what an attempt that has been
 * overtaken can do to a later one with it: take one id.
 */
import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import type { ObjectInfo, ObjectStore, ObjectStoreOptions } from '../../src/storage/object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { attempt, settle, statuses, type Attempt } from './attempt.js'
import { gate } from './fake-task.js'
import { collectInto, countingJob, expectedResults, numbers, type Results } from './counting-job.js'
import { storedObjects } from './stored-objects.js'

/** Writes down what is asked, in order; listings of the epochs fail when the test says so. */
class LoggingObjectStore extends FaultObjectStore {
  readonly log: string[] = []
  listingFails = false

  constructor(inner: ObjectStore) {
    super(inner)
    this.watch()
  }

  watch(): void {
    this.plan = (operation, key) => {
      this.log.push(`${operation} ${normalised(key)}`)
      return undefined
    }
  }

  override async *list(prefix: string, options?: ObjectStoreOptions): AsyncIterable<ObjectInfo> {
    this.log.push(`list ${prefix}`)
    if (this.listingFails) throw new Error('no answer')
    yield* super.list(prefix, options)
  }
}

function normalised(keys: string): string {
  return keys.replaceAll(/\d+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '*')
}

const publish = (id: number): string => `putIfAbsent job/chk-${id}/_metadata`
const look = 'list job/epochs/'

/** State that is inlined: so `_metadata` is the only object of a checkpoint's own, but for the tables. */
async function running(
  objectStore: ObjectStore,
  options: Parameters<typeof attempt>[0] = {},
): Promise<Attempt> {
  const begun = attempt({ objectStore, inlineThresholdBytes: 1000, ...options })
  await begun.begin()
  return begun
}

describe('a publication', () => {
  it('is one put and one look at the epoch after it; what is subsumed goes by its name', async () => {
    const store = new LoggingObjectStore(new MemoryObjectStore())
    const { coordinator } = await running(store, { taskNames: ['a'], inlineThresholdBytes: 0 })
    await coordinator.triggerCheckpoint(null)
    store.log.length = 0
    await coordinator.triggerCheckpoint(null)
    expect(store.log).toEqual([
      'put job/shared/*',
      'put job/chk-2/*',
      publish(2),
      look,
      'delete job/chk-1/_metadata',
      'delete job/chk-1/*',
    ])
  })

  it('of state that is inlined needs a single deletion for what it subsumes', async () => {
    const store = new LoggingObjectStore(new MemoryObjectStore())
    const { coordinator } = await running(store, {
      taskNames: ['a'],
      rebaseEvery: 100,
      inlineThresholdBytes: 10,
    })
    await coordinator.triggerCheckpoint(null)
    store.log.length = 0
    await coordinator.triggerCheckpoint(null)
    const deletions = store.log.filter((line) => !line.startsWith('put'))
    expect(deletions).toEqual([look, 'delete job/chk-1/_metadata'])
  })

  it('of an attempt that was restored lists the folder of what was there before, once', async () => {
    const memory = new MemoryObjectStore()
    const before = await running(memory)
    await before.coordinator.triggerCheckpoint(null)
    await before.coordinator.close()
    const store = new LoggingObjectStore(memory)
    const { coordinator } = await running(store)
    for (const listings of [1, 0, 0]) {
      store.log.length = 0
      await coordinator.triggerCheckpoint(null)
      expect(store.log.filter((line) => line.startsWith('list job/chk-'))).toHaveLength(listings)
    }
  })

  it('after one that ended without a look begins with one', async () => {
    const store = new LoggingObjectStore(new MemoryObjectStore())
    const { coordinator, events } = await running(store, { taskNames: ['a'] })
    await coordinator.triggerCheckpoint(null)
    store.listingFails = true
    await coordinator.triggerCheckpoint(null)
    store.log.length = 0
    await coordinator.triggerCheckpoint(null)
    expect(store.log, 'takes no id').not.toContain(publish(3))
    store.listingFails = false
    store.log.length = 0
    await coordinator.triggerCheckpoint(null)
    const asked = store.log.filter((line) => line === look || line.startsWith('putIfAbsent'))
    // The last one for what is deleted now and was in doubt.
    expect(asked).toEqual([look, publish(4), look, look])
    await coordinator.triggerCheckpoint(null)
    expect(statuses(events)).toEqual(['1', '2 not-published', '3 not-published', '4', '5'])
  })
})

describe('an attempt that has been overtaken', () => {
  it('with many checkpoints and savepoints to publish takes one id', async () => {
    const memory = new MemoryObjectStore()
    const first = await running(memory, { concurrentCheckpointsMax: 4 })
    await first.coordinator.triggerCheckpoint(null)
    const acknowledged = gate()
    first.task(0).beforeAcknowledge = () => acknowledged.promise
    const ends = [2, 3, 4, 5].map(() => first.coordinator.triggerCheckpoint(null))
    ends.push(first.coordinator.triggerSavepoint(null, { folder: 'by-hand' }))
    await settle()
    const second = await running(memory)
    acknowledged.open()
    for (const event of await Promise.all(ends)) {
      expect(event).toMatchObject({ status: 'aborted', reason: 'fenced' })
    }
    const published = (await storedObjects(memory)).filter((key) => key.endsWith('_metadata'))
    expect(published).toEqual(['job/chk-1/_metadata', 'job/chk-2/_metadata'])
    expect(first.failures).toMatchObject([{ code: 'ATTEMPT_FENCED' }])
    await second.coordinator.triggerCheckpoint(null)
    await second.coordinator.triggerCheckpoint(null)
    expect(statuses(second.events)).toEqual(['2 not-published', '3'])
    expect(second.failures).toEqual([])
  })

  it('and finds its id taken by the later one is told ATTEMPT_FENCED', async () => {
    const memory = new MemoryObjectStore()
    const first = await running(memory)
    const acknowledged = gate()
    first.task(0).beforeAcknowledge = () => acknowledged.promise
    const late = first.coordinator.triggerCheckpoint('first')
    await settle()
    const second = await running(memory)
    await second.coordinator.triggerCheckpoint('second')
    const before = await storedObjects(memory)
    acknowledged.open()
    expect(await late).toMatchObject({ checkpointId: 1, status: 'aborted', reason: 'fenced' })
    expect(first.failures).toMatchObject([{ code: 'ATTEMPT_FENCED' }])
    expect(await storedObjects(memory)).toEqual(expect.arrayContaining(before))
    const third = attempt({ objectStore: memory })
    expect((await third.begin())?.checkpoint.hostData).toBe('second')
  })

  it.each([
    [7, 'completed'],
    [8, 'given up'],
  ])('and others, having taken %i ids, leave its last checkpoint %s', async (taken, outcome) => {
    const memory = new MemoryObjectStore()
    const faults = new FaultObjectStore(memory)
    let left = taken
    faults.plan = async (operation, key) => {
      const isPublication = operation === 'putIfAbsent' && key.endsWith('_metadata')
      if (isPublication && left-- > 0) await memory.putIfAbsent(key, Buffer.from('theirs'))
      return undefined
    }
    const results: Results = {}
    const job = countingJob({
      objectStore: faults,
      stateBackend: new HashMapStateBackend({ memory: 8 * 2 ** 20 }),
      source: numbers(20),
      checkpoints: { everyRecords: 1000 },
    })
    const run = job.run({ scan: collectInto(results) })
    if (outcome === 'completed') await run
    else await expect(run).rejects.toMatchObject({ code: 'CHECKPOINT_FAILED' })
    const published = (await storedObjects(memory)).filter((key) => key.endsWith('_metadata'))
    expect(published).toHaveLength(8)
    if (outcome === 'completed') expect(results).toEqual(expectedResults(20))
  })
})
