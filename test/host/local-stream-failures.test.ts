/** What fails in a local job: it ends with the error, everything is closed, and the next run counts every record once. */
import { describe, expect, it } from 'vitest'
import { LocalStreamJob } from '../../src/host/local-stream-job.js'
import type { StreamSource } from '../../src/host/stream-source.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { failing } from '../support/fault-object-store.js'
import { statuses } from './attempt.js'
import {
  collectInto,
  countingJob,
  expectedResults,
  numbers,
  Recorder,
  type Results,
} from './counting-job.js'
import { setUp } from './local-job-fixture.js'
import { namedObjects, storedObjects } from './stored-objects.js'

describe('failures', () => {
  it('a failed checkpoint in between changes nothing in the result, nor in what comes back', async () => {
    const { common, objectStore, events, storage } = setUp()
    objectStore.plan = (operation, key) =>
      ['put', 'putIfAbsent'].includes(operation) && /chk-[245]\//.test(key) ? 'before' : undefined
    const checkpoints = { everyRecords: 10, tolerableFailedCheckpoints: 2 }
    const dying = new Error('the source broke')
    const source = numbers(100, (position) => {
      if (position >= 80) throw dying
    })
    await expect(countingJob({ ...common, source, checkpoints }).run()).rejects.toBe(dying)
    expect(statuses(events).slice(0, 5)).toEqual([
      '1',
      '2 declined',
      '3',
      '4 declined',
      '5 declined',
    ])

    objectStore.heal()
    const results: Results = {}
    const second = countingJob({ ...common, source: numbers(100), checkpoints })
    await second.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(100))
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
  })

  it('too many failed checkpoints fail the job, and everything is closed', async () => {
    const { common, objectStore, stateBackend, events } = setUp()
    objectStore.plan = failing('put', '')
    const source = numbers(1000)
    const checkpoints = { everyRecords: 10, tolerableFailedCheckpoints: 1 }
    await expect(countingJob({ ...common, source, checkpoints }).run()).rejects.toMatchObject({
      code: 'CHECKPOINT_FAILED',
      details: { checkpointId: 2, reason: 'declined' },
    })
    expect(statuses(events)).toEqual(['1 declined', '2 declined'])
    expect(stateBackend.open).toBe(0)
    expect(await storedObjects(objectStore)).toEqual([])
  })

  it('a failed final checkpoint fails the job, however many failures are tolerable', async () => {
    const { common, objectStore, stateBackend } = setUp()
    objectStore.plan = failing('putIfAbsent', '_metadata')
    const checkpoints = { tolerableFailedCheckpoints: Infinity }
    const job = countingJob({ ...common, source: numbers(10), checkpoints })
    await expect(job.run()).rejects.toMatchObject({
      code: 'CHECKPOINT_FAILED',
      details: { reason: 'not-published' },
    })
    expect(stateBackend.open).toBe(0)
  })

  it('a source that fails ends the job with its error; the next run goes on', async () => {
    const { common, stateBackend, results } = setUp()
    const broken = new Error('disk on fire')
    let failAt = 33
    const source = numbers(50, (position) => {
      if (position >= failAt) throw broken
    })
    const job = countingJob({ ...common, source, checkpoints: { everyRecords: 10 } })
    await expect(job.run()).rejects.toBe(broken)
    expect(stateBackend.open).toBe(0)
    failAt = Infinity
    const summary = await job.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(50))
    expect(summary.restoredCheckpointId).toBeGreaterThan(0)
    expect(summary.recordsProcessed).toBeLessThan(50)
  })

  it('an operator that throws ends the job with its error, and the source is closed', async () => {
    const { common, stateBackend, results } = setUp()
    let closed = 0
    const source: StreamSource<number> = {
      async *read(position, signal) {
        try {
          yield* numbers(40).read(position, signal)
        } finally {
          closed++
        }
      },
    }
    const bug = new Error('a bug of the operator')
    let fails = true
    class Buggy extends Recorder {
      override process(record: number): void | Promise<void> {
        if (record === 27 && fails) throw bug
        return super.process(record)
      }
    }
    const job = countingJob({
      ...common,
      source,
      createOperator: (backend) => new Buggy(backend),
      checkpoints: { everyRecords: 5 },
    })
    await expect(job.run()).rejects.toBe(bug)
    expect({ closed, open: stateBackend.open }).toEqual({ closed: 1, open: 0 })
    fails = false
    await job.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(40))
  })

  it('an error while results are read is the job’s, and everything is closed', async () => {
    const { common, stateBackend } = setUp()
    const job = countingJob({ ...common, source: numbers(10) })
    const error = new Error('no room for results')
    const scan = () => Promise.reject(error)
    await expect(job.run({ scan })).rejects.toBe(error)
    expect(stateBackend.open).toBe(0)
  })

  it('a backend that cannot be restored closes those that were', async () => {
    const { common, stateBackend } = setUp()
    const error = new Error('no second operator')
    const job = countingJob({
      ...common,
      source: numbers(10),
      createOperator: (backend, subtaskIndex) => {
        if (subtaskIndex === 1) throw error
        return new Recorder(backend)
      },
    })
    await expect(job.run()).rejects.toBe(error)
    expect(stateBackend).toMatchObject({ created: 2, open: 0 })
  })

  it('a damaged checkpoint is reported, and nothing is opened', async () => {
    const { common, storage, objectStore, stateBackend } = setUp()
    const job = countingJob({ ...common, source: numbers(10) })
    await job.run()
    const bytes = await storage.readMetadata(1)
    await objectStore.put('job/chk-1/_metadata', bodyOfBytes(bytes.subarray(1)))
    await expect(job.run()).rejects.toMatchObject({ code: 'METADATA_DAMAGED' })
    expect(stateBackend).toMatchObject({ created: 2, open: 0 })
  })

  it('missing state of a checkpoint is reported, and nothing stays open', async () => {
    const { common, objectStore, stateBackend } = setUp()
    const job = countingJob({ ...common, source: numbers(10) })
    await job.run()
    const shared = (await storedObjects(objectStore)).filter((key) => key.includes('/shared/'))
    await objectStore.delete(shared.slice(0, 1))
    await expect(job.run()).rejects.toMatchObject({ code: 'OBJECT_MISSING' })
    expect(stateBackend.open).toBe(0)
  })

  it.each([
    ['another operator id', { operatorId: 'other' }],
    ['another maximum parallelism', { maxParallelism: 32 }],
  ])('the checkpoint of a job with %s is refused', async (_, changed) => {
    const { common, stateBackend } = setUp()
    await countingJob({ ...common, source: numbers(10) }).run()
    const other = countingJob({ ...common, source: numbers(10), ...changed })
    await expect(other.run()).rejects.toMatchObject({ code: 'RESTORE_MISMATCH' })
    expect(stateBackend.open).toBe(0)
  })

  it('the checkpoint of a job with other keys is refused', async () => {
    const { common, storage } = setUp()
    await countingJob({ ...common, source: numbers(10) }).run()
    const other = new LocalStreamJob({
      ...common,
      source: numbers(10),
      keyOf: (record: number) => record,
      keySerializer: numberKey,
      createOperator: () => ({ process: () => undefined }),
      parallelism: 2,
      maxParallelism: 16,
      checkpointStorage: storage,
    })
    await expect(other.run()).rejects.toMatchObject({ code: 'RESTORE_MISMATCH' })
  })

  it.each([1, 2])(
    'a key that cannot be encoded ends the job, also with parallelism %i',
    async (parallelism) => {
      const { common, storage } = setUp()
      const job = new LocalStreamJob({
        ...common,
        source: numbers(10),
        keyOf: () => Number.NaN,
        keySerializer: numberKey,
        createOperator: () => ({ process: () => undefined }),
        parallelism,
        checkpointStorage: storage,
      })
      await expect(job.run()).rejects.toMatchObject({ code: 'KEY_NOT_ENCODABLE' })
    },
  )
})
