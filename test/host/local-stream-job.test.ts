import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { CheckpointEvent } from '../../src/host/checkpoint-events.js'
import { LocalStreamJob } from '../../src/host/local-stream-job.js'
import type { StreamSource } from '../../src/host/stream-source.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import {
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
} from '../../src/record/key-group-range-assignment.js'
import { numberKey, stringKey } from '../../src/record/key-serializer.js'
import { valueState } from '../../src/state/state-descriptor.js'
import type { KeyedStateBackendOptions, StateBackend } from '../../src/state-backend.js'
import { decodeCheckpointMetadata } from '../../src/checkpoint/checkpoint-metadata.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { ManualClock } from '../support/manual-clock.js'
import { temporaryDirectory } from '../support/state-task.js'
import {
  collectInto,
  countingJob,
  expectedResults,
  numbers,
  Recorder,
  type Results,
} from './counting-job.js'
import { gate } from './fake-task.js'
import { namedObjects, storedObjects } from './stored-objects.js'

/** In memory, and knows whether everything it made was closed. */
class WatchedStateBackend implements StateBackend {
  created = 0
  closed = 0
  readonly #inner: StateBackend = new HashMapStateBackend({ memory: 8 * 2 ** 20 })

  async createKeyedStateBackend<K>(options: KeyedStateBackendOptions<K>) {
    const backend = await this.#inner.createKeyedStateBackend(options)
    this.created++
    const close = backend.close.bind(backend)
    backend.close = () => {
      this.closed++
      return close()
    }
    return backend
  }

  get open(): number {
    return this.created - this.closed
  }
}

function setUp() {
  const objectStore = new FaultObjectStore(new MemoryObjectStore())
  const storage = new CheckpointStorage(objectStore, { jobId: 'job', inlineThresholdBytes: 0 })
  const stateBackend = new WatchedStateBackend()
  const events: CheckpointEvent[] = []
  const onCheckpoint = (event: CheckpointEvent) => void events.push(event)
  const results: Results = {}
  const common = { objectStore, stateBackend, onCheckpoint }
  return { objectStore, storage, stateBackend, events, results, common }
}

const statuses = (events: readonly CheckpointEvent[]): string[] =>
  events.map((event) =>
    event.status === 'completed'
      ? `${event.checkpointId}`
      : `${event.checkpointId} ${event.reason}`,
  )

/** Lets everything run that does not wait for the test. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await turn()
}

/** Waits until something that is only a matter of input and output has happened. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 1_000_000) throw new Error('it never happened')
    await turn()
  }
}

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
      memory: 8 * 2 ** 20,
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
    objectStore.plan = (operation) => (operation === 'put' ? 'before' : undefined)
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
    objectStore.plan = (operation, key) =>
      operation === 'putIfAbsent' && key.endsWith('_metadata') ? 'before' : undefined
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

describe('an abort', () => {
  it('ends a job that waits for its source, and the source is told', async () => {
    const { common, stateBackend, results } = setUp()
    let signalOfSource: AbortSignal | undefined
    let waiting = false
    const source: StreamSource<number> = {
      async *read(position, signal) {
        signalOfSource = signal
        yield* numbers(20).read(position, signal)
        waiting = true
        if (position === undefined) await new Promise(() => undefined)
      },
    }
    const stopping = new AbortController()
    const job = countingJob({ ...common, source, checkpoints: { everyRecords: 5 } })
    const running = job.run({ signal: stopping.signal })
    await until(() => waiting)
    stopping.abort()
    await expect(running).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(signalOfSource?.aborted).toBe(true)
    expect(stateBackend.open).toBe(0)
    await job.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(20))
  })

  it('ends a job that waits for a checkpoint, and leaves nothing of that', async () => {
    const { common, objectStore, stateBackend, events } = setUp()
    const put = gate()
    let putting = 0
    objectStore.plan = async (operation) => {
      if (operation !== 'put') return undefined
      putting++
      await put.promise
      return undefined
    }
    const stopping = new AbortController()
    const job = countingJob({ ...common, source: numbers(20), checkpoints: { everyRecords: 5 } })
    const running = job.run({ signal: stopping.signal })
    await until(() => putting > 0)
    stopping.abort()
    put.open()
    await expect(running).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(statuses(events)).toEqual(['1 closed'])
    expect(stateBackend.open).toBe(0)
    expect(await storedObjects(objectStore)).toEqual([])
  })

  it('ends a job in the middle of a long batch', async () => {
    const { common, stateBackend } = setUp()
    const stopping = new AbortController()
    let processed = 0
    const source: StreamSource<number> = {
      async *read() {
        yield { records: Array.from({ length: 100_000 }, (_, index) => index), position: 100_000 }
      },
    }
    const clock = new ManualClock()
    const monotonicMs = clock.monotonicMs.bind(clock)
    // Every look at the clock uses up a slice.
    let looks = 0
    clock.monotonicMs = () => monotonicMs() + 10 * looks++
    const job = countingJob({
      ...common,
      clock,
      source,
      createOperator: (backend) => {
        const recorder = new Recorder(backend)
        return Object.assign(recorder, {
          process: () => {
            if (++processed === 500) stopping.abort()
          },
        })
      },
    })
    const running = job.run({ signal: stopping.signal })
    await expect(running).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(processed).toBeLessThan(1000)
    expect(stateBackend.open).toBe(0)
  })

  it('before the start opens nothing', async () => {
    const { common, stateBackend } = setUp()
    const job = countingJob({ ...common, source: numbers(20) })
    await expect(job.run({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'SNAPSHOT_ABORTED',
    })
    expect(stateBackend.created).toBe(0)
  })
})

describe('checkpoints by time', () => {
  it('are taken while the source has nothing to give', async () => {
    const { common, events, stateBackend } = setUp()
    const clock = new ManualClock()
    const more = gate()
    let asked = 0
    const source = numbers(10, (position) => {
      asked = position
      return position === 7 ? more.promise : undefined
    })
    const job = countingJob({ ...common, clock, source, checkpoints: { intervalMs: 1000 } })
    const running = job.run()
    await until(() => asked === 7)
    await clock.advance(999)
    await settle()
    expect(events).toEqual([])
    await clock.advance(1)
    await until(() => events.length === 1)
    await settle()
    await clock.advance(1000)
    await until(() => events.length === 2)
    more.open()
    expect(await running).toMatchObject({ lastCheckpointId: 3, recordsInState: 10 })
    expect(clock.sleepers).toBe(0)
    expect(stateBackend.open).toBe(0)
  })

  it('wait for the one in flight', async () => {
    const { common, events, objectStore } = setUp()
    const clock = new ManualClock()
    const published = gate()
    let publishing = 0
    objectStore.plan = async (operation, key) => {
      if (operation !== 'putIfAbsent' || !key.endsWith('_metadata')) return undefined
      publishing++
      await published.promise
      return undefined
    }
    const more = gate()
    let asked = 0
    const source = numbers(10, (position) => {
      asked = position
      return position === 7 ? more.promise : undefined
    })
    const job = countingJob({ ...common, clock, source, checkpoints: { intervalMs: 1000 } })
    const running = job.run()
    await until(() => asked === 7)
    await clock.advance(1000)
    await until(() => publishing === 1)
    await clock.advance(1000)
    await settle()
    expect(publishing).toBe(1)
    published.open()
    await until(() => events.length === 1)
    await settle()
    more.open()
    await running
    // One by time with the next batch, one at the end.
    expect(statuses(events)).toEqual(['1', '2', '3'])
  })
})
