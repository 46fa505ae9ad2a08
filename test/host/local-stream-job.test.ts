/** A local job that runs to its end: what it counts, where its barriers are, and what it tells its host. */
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { decodeCheckpointMetadata } from '../../src/checkpoint/checkpoint-metadata.js'
import { LocalStreamJob } from '../../src/host/local-stream-job.js'
import type { StreamSource } from '../../src/host/stream-source.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import {
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
} from '../../src/record/key-group-range-assignment.js'
import { numberKey, stringKey } from '../../src/record/key-serializer.js'
import { valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { SMALL_MEMORY_BYTES, temporaryDirectory } from '../support/state-task.js'
import { settle, statuses } from './attempt.js'
import { collectInto, countingJob, expectedResults, numbers, Recorder } from './counting-job.js'
import { gate } from './fake-task.js'
import { setUp, until } from './local-job-fixture.js'
import { namedObjects, storedObjects } from './stored-objects.js'

describe('a local job', () => {
  it.each([1, 2, 3, 5, 16])('with parallelism %i counts every record once', async (parallelism) => {
    const { common, results, stateBackend, objectStore, storage, events } = setUp()
    const source = numbers(100)
    const job = countingJob({ ...common, source, parallelism, checkpoints: { everyRecords: 30 } })
    const summary = await job.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(100))
    expect(summary).toEqual({
      recordsProcessed: 100,
      recordsInState: 100,
      restoredCheckpointId: undefined,
      lastCheckpointId: 4,
    })
    expect(statuses(events)).toEqual(['1', '2', '3', '4'])
    expect(stateBackend).toMatchObject({ created: parallelism, open: 0 })
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
  })

  it('gives each subtask the keys of its key groups and no other', async () => {
    const { common } = setUp()
    const keysOf: string[][] = []
    await countingJob({ ...common, source: numbers(50), parallelism: 3 }).run({
      scan: async (subtasks) => {
        for (const { subtaskIndex, backend, operator } of subtasks) {
          const keys: string[] = []
          for await (const [key] of operator.results()) keys.push(key)
          keysOf[subtaskIndex] = keys
          const range = computeKeyGroupRangeForOperatorIndex(16, 3, subtaskIndex)
          expect(backend.keyGroupRange).toEqual(range)
          for (const key of keys) {
            const hash = stringKey.hashCode(stringKey.identityOf(key))
            expect(range.contains(computeKeyGroupForKeyHash(hash, 16)), key).toBe(true)
          }
        }
      },
    })
    expect(keysOf.flat().sort()).toEqual(Object.keys(expectedResults(50)).sort())
  })

  it('takes its barriers at the same records, however slow storage is', async () => {
    const { common, objectStore, storage, events } = setUp()
    const opening: (() => void)[] = []
    objectStore.plan = async (operation, key) => {
      if (operation !== 'putIfAbsent' || !key.endsWith('_metadata')) return undefined
      const published = gate()
      opening.push(published.open)
      await published.promise
      return undefined
    }
    const asked: number[] = []
    const source = numbers(40, (position) => void asked.push(position))
    const positions: unknown[] = []
    const running = countingJob({
      ...common,
      source,
      checkpoints: { everyRecords: 10, retainedCheckpointsMax: 99 },
    }).run()
    await until(() => opening.length === 1)
    await settle()
    expect(asked.at(-1), 'records go on while a checkpoint is in flight').toBeGreaterThan(10)
    expect(asked.at(-1), 'but not past the next barrier').toBeLessThan(24)
    for (let count = 0; count < 4; count++) {
      await until(() => opening.length > 0)
      opening.shift()?.()
    }
    await running
    for (const id of await storage.listCheckpoints()) {
      const { hostData } = decodeCheckpointMetadata(await storage.readMetadata(id), 'm')
      positions.push(hostData)
    }
    expect(positions).toEqual([
      { position: 11, recordsInState: 11 },
      { position: 23, recordsInState: 23 },
      { position: 35, recordsInState: 35 },
      { position: 40, recordsInState: 40 },
    ])
    expect(statuses(events)).toEqual(['1', '2', '3', '4'])
  })

  it('waits for an operator that returns promises, record by record', async () => {
    const { common, results } = setUp()
    let inProgress = 0
    class Slow extends Recorder {
      override async process(record: number): Promise<void> {
        expect(++inProgress).toBe(1)
        await turn()
        void super.process(record)
        inProgress--
      }
    }
    const job = countingJob({
      ...common,
      source: numbers(30),
      createOperator: (backend) => new Slow(backend),
      checkpoints: { everyRecords: 5 },
    })
    await job.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(30))
  })

  it('lets a backend drain, so that it never says its buffer is full', async () => {
    const objectStore = new MemoryObjectStore()
    const stateBackend = new LevelDBStateBackend({
      directory: temporaryDirectory(),
      memory: SMALL_MEMORY_BYTES,
    })
    const state = valueState<string>('large')
    const job = new LocalStreamJob({
      source: numbers(400),
      keyOf: (record: number) => record,
      keySerializer: numberKey,
      createOperator: (backend) => {
        const large = backend.getState(state)
        return { process: (record: number) => large.update(`${record}`.padEnd(60_000)) }
      },
      stateBackend,
      checkpointStorage: new CheckpointStorage(objectStore, { jobId: 'job' }),
    })
    await expect(job.run()).resolves.toMatchObject({ recordsInState: 400 })
  })

  it('takes no checkpoint at the end when that is not wanted', async () => {
    const { common, events } = setUp()
    const checkpoints = { everyRecords: 10, atEnd: false }
    const job = countingJob({ ...common, source: numbers(25), checkpoints })
    expect(await job.run()).toMatchObject({ lastCheckpointId: 2 })
    expect(statuses(events)).toEqual(['1', '2'])
    expect(await job.run()).toMatchObject({ restoredCheckpointId: 2, recordsProcessed: 2 })
  })

  it('tells what it restored before the first record', async () => {
    const { common } = setUp()
    await countingJob({ ...common, source: numbers(20) }).run()
    const log: unknown[] = []
    await countingJob({
      ...common,
      source: numbers(24, (position) => void log.push(position)),
      onRestored: ({ checkpointId }) => log.push(`restored ${checkpointId}`),
    }).run()
    expect(log).toEqual(['restored 1', 20, 21, 23, 24])
  })

  it('goes on after a batch without records', async () => {
    const { common, results } = setUp()
    const source: StreamSource<number> = {
      async *read(position) {
        if (position === undefined) yield { records: [], position: 'after nothing' }
        if (position !== 'end') yield { records: [0, 1], position: 'end' }
      },
    }
    const checkpoints = { everyRecords: 1, retainedCheckpointsMax: 9 }
    await countingJob({ ...common, source, checkpoints }).run()
    await countingJob({ ...common, source, checkpoints }).run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(2))
  })

  it('refuses to run twice at once, and can run again after', async () => {
    const { common } = setUp()
    const job = countingJob({ ...common, source: numbers(10) })
    const running = job.run()
    await expect(job.run()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await running
    expect(await job.run()).toMatchObject({ recordsProcessed: 0, recordsInState: 10 })
  })

  it.each([
    { parallelism: 0 },
    { parallelism: 17 },
    { maxParallelism: 40_000 },
    { checkpoints: { everyRecords: 0 } },
    { checkpoints: { intervalMs: 0 } },
  ])('refuses options out of range: %o', (options) => {
    const { common } = setUp()
    expect(() => countingJob({ ...common, source: numbers(1), ...options })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
  })
})
