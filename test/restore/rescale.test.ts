/**
 * Restore at other parallelisms: random splits and merges with writes, deletes, clears and checkpoints between, on both backends,
 * against plain objects. A failing run names its seed; `TEST_SEED=<seed> npx vitest run test/restore/rescale` repeats it.
 */
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { keyGroupOf } from '../../src/record/composite-key.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import {
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
} from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { TableReader } from '../../src/table/table-reader.js'
import { SeededRandom, seedOfRun } from '../support/random.js'
import {
  collect,
  handleOf,
  stateBackendOf,
  statesOf,
  temporaryDirectory,
  throughJSON,
  type Backend,
  type BackendKind,
  type Handle,
  type TaskStates,
} from '../support/state-task.js'

const MAX_PARALLELISM = 77
const KEYS = 400
/** Keys with large maps and lists. */
const SPILLING_KEYS = 6
const ROUNDS = 100
const PARALLELISMS = [1, 2, 3, 4, 5, 8, 15, 77]
/** A full look into every table of a checkpoint, once in so many rounds. */
const SCAN_EVERY = 5

const REBASE_OFTEN: Partial<RebasePolicy> = { smallStateBytes: 4000, deltaCountMax: 5 }

function groupOf(key: number): number {
  return computeKeyGroupForKeyHash(numberKey.hashCode(key), MAX_PARALLELISM)
}

interface Task {
  readonly backend: Backend
  readonly states: TaskStates
}

/** What the state must be. */
class Model {
  readonly values = new Map<number, string>()
  readonly maps = new Map<number, Map<number, string>>()
  readonly lists = new Map<number, string[]>()
}

class RescaledJob {
  readonly random: SeededRandom
  readonly storage = new CheckpointStorage(new MemoryObjectStore(), {
    jobId: 'job',
    inlineThresholdBytes: 1000,
  })
  readonly model = new Model()
  handles: Handle[] = []
  tasks: Task[] = []
  #checkpointId = 0

  readonly #policy: Partial<RebasePolicy>

  constructor(seed: number, policy: Partial<RebasePolicy> = REBASE_OFTEN) {
    this.random = new SeededRandom(seed)
    this.#policy = policy
  }

  /** Ends all tasks and starts others over `ranges`, from the last completed checkpoint. */
  async restart(ranges: readonly KeyGroupRange[], only?: BackendKind): Promise<void> {
    await this.close()
    for (const keyGroupRange of ranges) {
      const kind = only ?? (this.random.chance(0.75) ? 'leveldb' : 'hashmap')
      const backend = await stateBackendOf(kind, temporaryDirectory(), {
        policy: this.#policy,
      }).createKeyedStateBackend({
        operatorId: 'operator',
        keySerializer: numberKey,
        maxParallelism: MAX_PARALLELISM,
        keyGroupRange,
        stateHandles: this.handles.map(throughJSON),
        checkpointStorage: this.storage,
      })
      this.tasks.push({ backend, states: statesOf(backend) })
    }
  }

  at(key: number): TaskStates {
    const task = this.tasks.find(({ backend }) => backend.keyGroupRange.contains(groupOf(key)))
    if (task === undefined) throw new Error(`no task has key ${key}`)
    task.backend.setCurrentKey(key)
    return task.states
  }

  write(): void {
    const { random, model } = this
    const key = random.below(KEYS)
    const states = this.at(key)
    if (random.chance(0.3)) {
      states.value.clear()
      model.values.delete(key)
    } else {
      const text = `v${random.below(1e6)}`
      states.value.update(text)
      model.values.set(key, text)
    }
    if (key >= SPILLING_KEYS) return
    this.#writeMap(key, states)
    this.#writeList(key, states)
  }

  #writeMap(key: number, { map }: TaskStates): void {
    const { random } = this
    const expected = this.model.maps.get(key) ?? new Map<number, string>()
    this.model.maps.set(key, expected)
    if (random.chance(0.01)) {
      map.clear()
      expected.clear()
    }
    for (let i = 0; i < 20; i++) {
      const userKey = random.below(300)
      if (random.chance(0.3)) {
        map.remove(userKey)
        expected.delete(userKey)
      } else {
        map.put(userKey, `m${i}`)
        expected.set(userKey, `m${i}`)
      }
    }
  }

  #writeList(key: number, { list }: TaskStates): void {
    const expected = this.model.lists.get(key) ?? []
    if (this.random.chance(0.02)) {
      list.clear()
      expected.length = 0
    }
    const added = Array.from({ length: 10 }, (_, i) => `l${i}`)
    list.addAll(added)
    expected.push(...added)
    this.model.lists.set(key, expected)
  }

  async checkpoint(completes: boolean): Promise<void> {
    const id = ++this.#checkpointId
    const results = await Promise.all(
      this.tasks.map(({ backend }) =>
        backend.snapshot(id, 0, this.storage.streamFactory(id), CheckpointOptions.checkpoint()),
      ),
    )
    for (const { backend } of this.tasks) {
      if (completes) backend.notifyCheckpointComplete(id)
      else backend.notifyCheckpointAborted(id)
    }
    if (completes) this.handles = results.map(handleOf)
  }

  /** Every row is in exactly one task, and the union of the tasks is the model. */
  async expectModel(): Promise<void> {
    const keys = await Promise.all(
      this.tasks.map(({ backend }) => collect(backend.getKeys('value'))),
    )
    expect(keys.flat().toSorted((a, b) => a - b)).toEqual(
      [...this.model.values.keys()].toSorted((a, b) => a - b),
    )
    for (let key = 0; key < KEYS; key++) {
      expect(this.at(key).value.value(), `value of ${key}`).toBe(this.model.values.get(key))
    }
    for (const [key, expected] of this.model.maps) {
      const entries = await collect(this.at(key).map.entries())
      const sorted = [...expected].toSorted(([a], [b]) => a - b)
      expect(entries, `map of ${key}`).toEqual(sorted)
      expect(this.at(key).list.get(), `list of ${key}`).toEqual(this.model.lists.get(key))
    }
  }

  /** No table that a handle names holds a key outside the handle's range. */
  async expectTablesInRange(): Promise<void> {
    const directory = temporaryDirectory()
    for (const [taskIndex, handle] of this.handles.entries()) {
      for (const [index, table] of handle.sharedState.entries()) {
        const path = join(directory, `${taskIndex}-${index}.ldb`)
        await this.storage.download(table.state, path)
        const reader = TableReader.open(path)
        const outside = [...reader.entries()].filter(
          ({ userKey }) => !handle.keyGroupRange.contains(keyGroupOf(userKey)),
        )
        reader.close()
        expect(outside, `${table.role} of ${handle.keyGroupRange.toString()}`).toEqual([])
      }
    }
  }

  async close(): Promise<void> {
    for (const { backend } of this.tasks) await backend.close()
    this.tasks = []
  }
}

/** Neighbouring ranges over all key groups: Flink's, or cut anywhere. */
function randomRanges(random: SeededRandom): KeyGroupRange[] {
  const parallelism = random.pick(random.chance(0.9) ? PARALLELISMS.slice(0, 6) : PARALLELISMS)
  if (random.chance(0.6)) {
    return Array.from({ length: parallelism }, (_, index) =>
      computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, parallelism, index),
    )
  }
  const cuts = new Set(Array.from({ length: parallelism - 1 }, () => 1 + random.below(76)))
  const starts = [0, ...[...cuts].toSorted((a, b) => a - b)]
  return starts.map((start, index) =>
    KeyGroupRange.of(start, (starts[index + 1] ?? MAX_PARALLELISM) - 1),
  )
}

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
        await job.restart(randomRanges(random))
        await job.expectModel()
        for (let checkpoints = 1 + random.below(3); checkpoints > 0; checkpoints--) {
          for (let writes = random.below(150); writes > 0; writes--) job.write()
          await job.checkpoint(checkpoints === 1 || random.chance(0.7))
        }
        if (round % SCAN_EVERY === 0) await job.expectTablesInRange()
      }
    },
    240_000,
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
    const within = keys.filter((key) => middle.contains(groupOf(key)))
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
      [0, 1, 2, 3].map((index) => computeKeyGroupRangeForOperatorIndex(77, 4, index)),
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
