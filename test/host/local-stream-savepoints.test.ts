/** Savepoints of a local job: taken at any time, restored elsewhere, with every record counted once. */
import { describe, expect, it, onTestFinished } from 'vitest'
import type { CheckpointEvent } from '../../src/host/checkpoint-events.js'
import type { StreamSource } from '../../src/host/stream-source.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { openSnapshot } from '../../src/restore/snapshot-location.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { SMALL_MEMORY_BYTES, temporaryDirectory } from '../support/state-task.js'
import { expectWhole, settle, statuses } from './attempt.js'
import { collectInto, countingJob, expectedResults, numbers, type Results } from './counting-job.js'
import { gate } from './fake-task.js'
import { storedObjects } from './stored-objects.js'

const RECORDS = 60
/** A position between two batches. */
const MIDDLE = 30

const hashMap = (): StateBackend => new HashMapStateBackend({ memory: SMALL_MEMORY_BYTES })
const levelDB = (): StateBackend =>
  new LevelDBStateBackend({ directory: temporaryDirectory(), memory: SMALL_MEMORY_BYTES })

interface SetUp {
  readonly stateBackend?: StateBackend
  readonly beforeBatch?: (position: number) => void | Promise<void>
  readonly everyRecords?: number
}

function setUp({ stateBackend = hashMap(), beforeBatch, everyRecords = 10 }: SetUp = {}) {
  const objectStore = new FaultObjectStore(new MemoryObjectStore())
  const events: CheckpointEvent[] = []
  const results: Results = {}
  const job = countingJob({
    objectStore,
    stateBackend,
    source: numbers(RECORDS, beforeBatch),
    checkpoints: { everyRecords, tolerableFailedCheckpoints: Infinity },
    onCheckpoint: (event) => void events.push(event),
  })
  return { objectStore, events, results, job }
}

/** Another job that begins with the savepoint and goes on to the end of the input: its results, and how many records it did. */
async function goOnFrom(objectStore: FaultObjectStore, folder: string, stateBackend = hashMap()) {
  const results: Results = {}
  const snapshot = await openSnapshot(objectStore, folder)
  const summary = await countingJob({
    objectStore,
    stateBackend,
    source: numbers(RECORDS),
    checkpointStorage: new CheckpointStorage(objectStore, { jobId: 'next' }),
  }).run({ restore: { snapshot }, scan: collectInto(results) })
  return { results, ...summary }
}

/** Resolves at the first batch from `MIDDLE` on; the source has nothing to give until `goOn` is called. */
function waitingSource() {
  const waits = gate()
  const goesOn = gate()
  let reached = false
  onTestFinished(() => goesOn.open())
  const beforeBatch = (position: number): Promise<void> | undefined => {
    if (position < MIDDLE || reached) return undefined
    reached = true
    waits.open()
    return goesOn.promise
  }
  const reachedMiddle = async (): Promise<void> => {
    await waits.promise
    await settle()
  }
  return { beforeBatch: (at: number) => beforeBatch(at), reachedMiddle, goOn: goesOn.open }
}

describe('a savepoint of a running job', () => {
  it.each([
    ['hashmap', 'hashmap', hashMap, hashMap],
    ['leveldb', 'leveldb', levelDB, levelDB],
    ['hashmap', 'leveldb', hashMap, levelDB],
    ['leveldb', 'hashmap', levelDB, hashMap],
  ])('of %s, restored by %s, has every record once', async (_, __, taking, restoring) => {
    let taken: Promise<CheckpointEvent> | undefined
    const { job, objectStore, results } = setUp({
      stateBackend: taking(),
      beforeBatch: (at) => {
        if (at >= MIDDLE) taken ??= job.triggerSavepoint({ folder: 'one' })
      },
    })
    await job.run({ scan: collectInto(results) })
    expect(results, 'the job goes on').toEqual(expectedResults(RECORDS))
    expect(await taken).toMatchObject({ status: 'completed', savepointFolder: 'one' })
    await expectWhole(objectStore, 'one')
    const next = await goOnFrom(objectStore, 'one', restoring())
    expect(next.results).toEqual(expectedResults(RECORDS))
    expect(next.recordsProcessed).toBeLessThan(RECORDS)
  })

  it('is taken at once while the source has nothing to give', async () => {
    const source = waitingSource()
    const { job, results } = setUp(source)
    const running = job.run({ scan: collectInto(results) })
    await source.reachedMiddle()
    const taken = await Promise.all([job.triggerSavepoint(), job.triggerSavepoint()])
    expect(taken.map(({ status }) => status)).toEqual(['completed', 'completed'])
    source.goOn()
    await running
    expect(results).toEqual(expectedResults(RECORDS))
  })

  it('that is asked for before there is a source to read is taken, though the source has nothing to give', async () => {
    const goesOn = gate()
    const { job } = setUp({ beforeBatch: () => goesOn.promise })
    const running = job.run()
    expect(await job.triggerSavepoint()).toMatchObject({ status: 'completed' })
    goesOn.open()
    await running
  })

  it('that is asked for while a checkpoint is waited for is taken, though the source has nothing to give', async () => {
    const source = waitingSource()
    const { job, objectStore } = setUp({ ...source, everyRecords: MIDDLE / 2 })
    const [published, arrives] = [gate(), gate()]
    let publications = 0
    objectStore.plan = async (operation, key) => {
      if (operation !== 'putIfAbsent' || !key.endsWith('chk-1/_metadata')) return undefined
      publications++
      published.open()
      await arrives.promise
      return undefined
    }
    const running = job.run()
    await published.promise
    // The second barrier waits for the first checkpoint: the job stands between two batches.
    await settle()
    const taken = job.triggerSavepoint()
    arrives.open()
    expect(await taken).toMatchObject({ status: 'completed' })
    source.goOn()
    await running
    expect(publications).toBe(1)
  })
})

describe('stopWithSavepoint', () => {
  it.each([
    ['hashmap', hashMap],
    ['leveldb', levelDB],
  ])('ends the run of %s, and what goes on from it has every record once', async (_, backend) => {
    let taken: Promise<CheckpointEvent> | undefined
    let last = 0
    const { job, objectStore, events } = setUp({
      stateBackend: backend(),
      beforeBatch: (at) => {
        last = at
        if (at >= MIDDLE) taken ??= job.stopWithSavepoint({ folder: 'end' })
      },
    })
    const summary = await job.run({ scan: () => expect.unreachable() })
    expect(summary.stoppedWithSavepoint).toBe('end')
    expect(summary.recordsInState).toBeLessThan(RECORDS)
    expect(summary.recordsProcessed, 'no record after it').toBe(summary.recordsInState)
    expect(last, 'nor is another batch read').toBeLessThanOrEqual(summary.recordsInState)
    expect(await taken).toMatchObject({ status: 'completed' })
    expect(events.at(-1), 'no final checkpoint').toMatchObject({ snapshotType: 'savepoint' })
    const next = await goOnFrom(objectStore, 'end', backend())
    expect(next.results).toEqual(expectedResults(RECORDS))
    expect(next.recordsProcessed).toBe(RECORDS - summary.recordsInState)
  })

  it('ends a run whose source has nothing to give', async () => {
    const source = waitingSource()
    const { job, objectStore } = setUp(source)
    const running = job.run()
    await source.reachedMiddle()
    expect(await job.stopWithSavepoint({ folder: 'end' })).toMatchObject({ status: 'completed' })
    const { recordsInState, stoppedWithSavepoint } = await running
    expect(stoppedWithSavepoint).toBe('end')
    const next = await goOnFrom(objectStore, 'end')
    expect(next.results).toEqual(expectedResults(RECORDS))
    expect(next.recordsProcessed).toBe(RECORDS - recordsInState)
  })

  it('lets no record in while it is taken, also when another savepoint is asked for meanwhile', async () => {
    const source = waitingSource()
    const { job, objectStore } = setUp(source)
    const [publishing, arrives] = [gate(), gate()]
    objectStore.plan = async (operation, key) => {
      if (operation !== 'putIfAbsent' || key !== 'end/_metadata') return undefined
      publishing.open()
      await arrives.promise
      return undefined
    }
    const running = job.run()
    await source.reachedMiddle()
    const stopping = job.stopWithSavepoint({ folder: 'end' })
    await publishing.promise
    const another = job.triggerSavepoint({ folder: 'another' })
    // Whether it is taken or not is open; that the job does not hang on it is not.
    const anotherEnded = another.then(
      () => true,
      (error: unknown) => error,
    )
    source.goOn()
    await settle()
    arrives.open()
    expect(await stopping).toMatchObject({ status: 'completed' })
    const summary = await running
    expect(summary.stoppedWithSavepoint).toBe('end')
    const { checkpoint } = await openSnapshot(objectStore, 'end')
    expect(checkpoint.hostData).toMatchObject({ recordsInState: summary.recordsInState })
    expect(await anotherEnded).toMatchObject({ code: 'SNAPSHOT_ABORTED' })
  })

  it('that fails does not end the job', async () => {
    let taken: Promise<CheckpointEvent> | undefined
    const { job, objectStore, results } = setUp({
      beforeBatch: (at) => {
        if (at >= MIDDLE) taken ??= job.stopWithSavepoint({ folder: 'end' })
      },
    })
    objectStore.plan = (operation, key) =>
      operation === 'put' && key.startsWith('end/') ? 'before' : undefined
    const summary = await job.run({ scan: collectInto(results) })
    expect(summary.stoppedWithSavepoint).toBeUndefined()
    expect(results).toEqual(expectedResults(RECORDS))
    expect(await taken).toMatchObject({ status: 'aborted', reason: 'declined' })
    const left = await storedObjects(objectStore)
    expect(left.filter((key) => key.startsWith('end/'))).toEqual([])
  })

  it('into a folder that is refused rejects, and the job goes on', async () => {
    let refused: Promise<unknown> | undefined
    const { job, results } = setUp({
      beforeBatch: (at) => {
        if (at < MIDDLE) return
        refused ??= job.stopWithSavepoint({ folder: 'job/x' }).catch((error: unknown) => error)
      },
    })
    await job.run({ scan: collectInto(results) })
    expect(await refused).toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(results).toEqual(expectedResults(RECORDS))
  })
})

describe('asking for a savepoint', () => {
  it('of a job that does not run is refused', async () => {
    const { job } = setUp()
    await expect(job.triggerSavepoint()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await job.run()
    await expect(job.stopWithSavepoint()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('always has an answer: also when the run is ending', async () => {
    const answers: Promise<unknown>[] = []
    const { job, events } = setUp({})
    const ask = (): void => {
      answers.push(job.triggerSavepoint().catch((error: unknown) => error))
    }
    const running = job.run({ scan: ask })
    await running
    expect(answers).toHaveLength(1)
    expect(await answers[0]).toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(statuses(events)).not.toEqual([])
  })

  it('always has an answer: also while the run is closing after a failure', async () => {
    const answers: Promise<unknown>[] = []
    const source: StreamSource<number> = {
      read: () => ({
        [Symbol.asyncIterator]: () => ({
          next: () => Promise.reject(new Error('the source failed')),
          return: async () => {
            await settle()
            answers.push(job.triggerSavepoint().catch((error: unknown) => error))
            return { done: true, value: undefined }
          },
        }),
      }),
    }
    const job = countingJob({
      objectStore: new MemoryObjectStore(),
      stateBackend: hashMap(),
      source,
    })
    await expect(job.run()).rejects.toThrow('the source failed')
    expect(answers).toHaveLength(1)
    expect(await answers[0]).toMatchObject({ code: 'SNAPSHOT_ABORTED' })
  })
})

describe('a local job', () => {
  it('that was started elsewhere meanwhile rejects with ATTEMPT_FENCED, and the other goes on', async () => {
    const source = waitingSource()
    const { job, objectStore } = setUp(source)
    const ended = job.run().catch((error: unknown) => error)
    await source.reachedMiddle()
    const results: Results = {}
    const other = countingJob({ objectStore, stateBackend: hashMap(), source: numbers(RECORDS) })
    await other.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(RECORDS))
    const before = await storedObjects(objectStore)
    source.goOn()
    expect(await ended).toMatchObject({ code: 'ATTEMPT_FENCED' })
    expect(await storedObjects(objectStore)).toEqual(expect.arrayContaining(before))
  })

  it('whose source gives a position that JSON cannot hold rejects when it has taken the batch', async () => {
    const source: StreamSource<number> = {
      async *read() {
        yield { records: [1], position: Number.NaN }
        await new Promise(() => undefined)
      },
    }
    const running = countingJob({
      objectStore: new MemoryObjectStore(),
      stateBackend: hashMap(),
      source,
    }).run()
    await expect(running).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})
