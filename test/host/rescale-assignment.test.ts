/** A local job that comes back at another parallelism: who gets which state, and what cannot be changed. */
import { describe, expect, it } from 'vitest'
import type { CheckpointableKeyedStateBackend } from '../../src/checkpoint/checkpointable-keyed-state-backend.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LocalStreamJob, type StreamOperator } from '../../src/host/local-stream-job.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import {
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
} from '../../src/record/key-group-range-assignment.js'
import { stringKey } from '../../src/record/key-serializer.js'
import type { KeyedStateBackend } from '../../src/state/keyed-state-backend.js'
import { valueState } from '../../src/state/state-descriptor.js'
import type { KeyedStateBackendOptions, StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { rejection, temporaryDirectory } from '../support/state-task.js'
import {
  collectInto,
  countingJob,
  expectedResults,
  numbers,
  type Recorder,
  type Results,
} from './counting-job.js'
import { storedObjects } from './stored-objects.js'

const MAX_PARALLELISM = 16

type Kind = 'leveldb' | 'hashmap'
const KINDS: Kind[] = ['leveldb', 'hashmap']

function stateBackendOf(kind: Kind): StateBackend {
  const memory = 8 * 2 ** 20
  if (kind === 'hashmap') return new HashMapStateBackend({ memory })
  // A directory of its own for every run: each may be on another machine.
  return new LevelDBStateBackend({ directory: temporaryDirectory(), memory })
}

function keyGroupOf(key: string): number {
  const hash = stringKey.hashCode(stringKey.identityOf(key))
  return computeKeyGroupForKeyHash(hash, MAX_PARALLELISM)
}

/** Keys of the job's results whose key group a subtask has. */
function keysOfSubtask(results: Results, parallelism: number, subtaskIndex: number): string[] {
  const range = computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, parallelism, subtaskIndex)
  return Object.keys(results)
    .filter((key) => range.contains(keyGroupOf(key)))
    .sort()
}

async function keysIn(operator: Recorder): Promise<string[]> {
  const keys: string[] = []
  for await (const [key] of operator.results()) keys.push(key)
  return keys.sort()
}

/** `numbers`, but broken off where a process would have died. */
function brokenOffAt(position: number): ReturnType<typeof numbers> {
  return numbers(Infinity, (next) => {
    if (next >= position) throw new Error('the process died')
  })
}

describe.each(KINDS)('a job that comes back at another parallelism: %s', (kind) => {
  it.each([
    [1, 2, 1],
    [2, 3, 2],
    [16, 1, 16],
    [3, 5, 4],
  ])('counts every record once, at %i, %i and %i', async (...parallelisms) => {
    const objectStore = new MemoryObjectStore()
    const common = {
      objectStore,
      checkpoints: { everyRecords: 10 },
      maxParallelism: MAX_PARALLELISM,
    }
    for (const [run, parallelism] of parallelisms.entries()) {
      const stateBackend = stateBackendOf(kind)
      const source = brokenOffAt(37 * (run + 1))
      const job = countingJob({ ...common, parallelism, stateBackend, source })
      expect(await rejection(job.run())).toMatchObject({ message: 'the process died' })
    }
    const results: Results = {}
    const last = countingJob({
      ...common,
      parallelism: 7,
      stateBackend: stateBackendOf(kind),
      source: numbers(150),
    })
    const summary = await last.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(150))
    expect(summary).toMatchObject({ recordsInState: 150 })
    expect(summary.restoredCheckpointId).toBeGreaterThan(0)
  })

  it('gives each subtask the state of its key groups, and of no others', async () => {
    const objectStore = new MemoryObjectStore()
    const common = { objectStore, maxParallelism: MAX_PARALLELISM }
    const first = countingJob({
      ...common,
      parallelism: 3,
      stateBackend: stateBackendOf(kind),
      source: numbers(50),
    })
    await first.run()
    for (const parallelism of [5, 2, 16]) {
      const stateBackend = stateBackendOf(kind)
      const job = countingJob({ ...common, parallelism, stateBackend, source: numbers(50) })
      await job.run({
        scan: async (subtasks) => {
          expect(subtasks).toHaveLength(parallelism)
          for (const { subtaskIndex, operator } of subtasks) {
            const expected = keysOfSubtask(expectedResults(50), parallelism, subtaskIndex)
            expect(await keysIn(operator), `subtask ${subtaskIndex}`).toEqual(expected)
          }
        },
      })
    }
  })
})

/** Says what each backend was to be restored from. */
class WatchedStateBackend implements StateBackend {
  /** Per backend, by the first key group of its range: the handles that overlap it. */
  readonly overlapping = new Map<number, number>()
  readonly #inner: StateBackend

  constructor(inner: StateBackend) {
    this.#inner = inner
  }

  createKeyedStateBackend<K>(
    options: KeyedStateBackendOptions<K>,
  ): Promise<CheckpointableKeyedStateBackend<K>> {
    const { keyGroupRange, stateHandles = [] } = options
    const count = stateHandles.filter(
      (handle) =>
        !KeyGroupRange.fromJSON(handle.keyGroupRange).getIntersection(keyGroupRange).isEmpty,
    ).length
    this.overlapping.set(keyGroupRange.startKeyGroup, count)
    return this.#inner.createKeyedStateBackend(options)
  }
}

/** Counts, but gets its state with its first record only: a subtask without records has none at all. */
class LateCounter implements StreamOperator<number> {
  readonly #backend: KeyedStateBackend<string>

  constructor(backend: KeyedStateBackend<string>) {
    this.#backend = backend
  }

  process(): void {
    const count = this.#backend.getState(valueState<number>('count'))
    count.update((count.value() ?? 0) + 1)
  }

  async counts(): Promise<[string, number | undefined][]> {
    const count = this.#backend.getState(valueState<number>('count'))
    const counts: [string, number | undefined][] = []
    for await (const key of this.#backend.getKeys('count')) {
      this.#backend.setCurrentKey(key)
      counts.push([key, count.value()])
    }
    return counts
  }
}

describe.each(KINDS)('subtasks where no state overlaps: %s', (kind) => {
  it('start with empty state, and take part from then on', async () => {
    const checkpointStorage = new CheckpointStorage(new MemoryObjectStore(), { jobId: 'job' })
    const jobOf = (parallelism: number, records: number, stateBackend: StateBackend) =>
      new LocalStreamJob({
        source: numbers(records),
        keyOf: (record: number) => `key ${record % 7}`,
        keySerializer: stringKey,
        createOperator: (backend) => new LateCounter(backend),
        parallelism,
        maxParallelism: MAX_PARALLELISM,
        stateBackend,
        checkpointStorage,
      })
    // One record: one subtask has state.
    await jobOf(MAX_PARALLELISM, 1, stateBackendOf(kind)).run()

    const watched = new WatchedStateBackend(stateBackendOf(kind))
    const counts: [string, number | undefined][] = []
    const emptySubtasks: number[] = []
    const summary = await jobOf(5, 70, watched).run({
      scan: async (subtasks) => {
        for (const { subtaskIndex, backend, operator } of subtasks) {
          const own = await operator.counts()
          counts.push(...own)
          const overlapping = watched.overlapping.get(backend.keyGroupRange.startKeyGroup)
          if (overlapping === 0 && own.length > 0) emptySubtasks.push(subtaskIndex)
        }
      },
    })
    expect(summary).toMatchObject({ restoredCheckpointId: 1, recordsProcessed: 69 })
    const overlaps = [...watched.overlapping.values()]
    expect(overlaps.toSorted((a, b) => a - b)).toEqual([0, 0, 0, 0, 1])
    expect(emptySubtasks.length, 'some that began empty have counted since').toBeGreaterThan(0)
    const keys = Object.keys(expectedResults(7))
    expect(new Map(counts)).toEqual(new Map(keys.map((key) => [key, 10])))
    expect(counts).toHaveLength(keys.length)
  })
})

describe('the maximum parallelism', () => {
  it('cannot change: the error says so, and the job goes on with the old one', async () => {
    const objectStore = new MemoryObjectStore()
    const stateBackend = stateBackendOf('hashmap')
    const common = { objectStore, stateBackend, parallelism: 2 }
    await countingJob({ ...common, source: numbers(10), maxParallelism: 16 }).run()
    const before = await storedObjects(objectStore)
    for (const maxParallelism of [8, 17, 32]) {
      const changed = countingJob({ ...common, source: numbers(20), maxParallelism })
      const error = await rejection(changed.run())
      expect(error).toMatchObject({ code: 'RESTORE_MISMATCH', kind: 'invalid' })
      expect(String(error)).toMatch(/maximum parallelism/i)
      expect(String(error)).toMatch(new RegExp(`\\b16\\b.*\\b${maxParallelism}\\b`))
    }
    expect(await storedObjects(objectStore)).toEqual(expect.arrayContaining(before))

    const results: Results = {}
    const same = countingJob({ ...common, source: numbers(20), maxParallelism: 16, parallelism: 5 })
    const summary = await same.run({ scan: collectInto(results) })
    expect(summary).toMatchObject({ restoredCheckpointId: 1, recordsProcessed: 10 })
    expect(results).toEqual(expectedResults(20))
  })
})
