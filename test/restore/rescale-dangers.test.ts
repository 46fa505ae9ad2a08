/**
 * The danger of a rescale, by name: a range is split, both halves write and delete, and they merge again. A table that kept a value or a
 * tombstone of the other half would bring back what was deleted, or delete what is live.
 */
import { linkSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { keyGroupOf } from '../../src/record/composite-key.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { computeKeyGroupForKeyHash } from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { ValueType } from '../../src/table/internal-key.js'
import { readManifest, tableFileName } from '../../src/table/manifest.js'
import { TableReader } from '../../src/table/table-reader.js'
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

const MAX_PARALLELISM = 64
const WHOLE = [KeyGroupRange.of(0, 63)]
const HALVES = [KeyGroupRange.of(0, 31), KeyGroupRange.of(32, 63)]
/** A cut elsewhere, so that what was cut once is cut again. */
const UNEVEN = [KeyGroupRange.of(0, 20), KeyGroupRange.of(21, 42), KeyGroupRange.of(43, 63)]
/** On both sides of every cut above, and the ends. */
const BOUNDARY_GROUPS = [0, 20, 21, 31, 32, 42, 43, 63]
/** About 16 of each key group. */
const KEYS = 1000

/** Nearly every checkpoint uploads LevelDB's own tables. */
const BASES: Partial<RebasePolicy> = { smallStateBytes: 0, deltaFractionMax: 0.01 }
/** A base is never renewed, so there never is one. */
const DELTAS_ONLY: Partial<RebasePolicy> = { smallStateBytes: 2 ** 40 }

function groupOf(key: number): number {
  return computeKeyGroupForKeyHash(numberKey.hashCode(key), MAX_PARALLELISM)
}

const isAtBoundary = (key: number): boolean => BOUNDARY_GROUPS.includes(groupOf(key))

interface FoundTable {
  readonly role: 'base' | 'delta'
  readonly range: KeyGroupRange
  readonly groups: readonly number[]
  readonly tombstoneGroups: readonly number[]
}

class SplitJob {
  readonly model = new Map<number, string>()
  handles: Handle[] = []
  readonly #storage = new CheckpointStorage(new MemoryObjectStore(), {
    jobId: 'job',
    inlineThresholdBytes: 0,
  })
  readonly #kind: BackendKind
  readonly #policy: Partial<RebasePolicy>
  #tasks: { backend: Backend; states: TaskStates; directory: string }[] = []
  #checkpointId = 0

  constructor(kind: BackendKind, policy: Partial<RebasePolicy>) {
    this.#kind = kind
    this.#policy = policy
  }

  /** From the last snapshot, over `ranges`. */
  async restart(ranges: readonly KeyGroupRange[]): Promise<void> {
    await this.close()
    for (const keyGroupRange of ranges) {
      const directory = temporaryDirectory()
      const stateBackend = stateBackendOf(this.#kind, directory, { policy: this.#policy })
      const backend = await stateBackend.createKeyedStateBackend({
        operatorId: 'operator',
        keySerializer: numberKey,
        maxParallelism: MAX_PARALLELISM,
        keyGroupRange,
        stateHandles: this.handles.map(throughJSON),
        checkpointStorage: this.#storage,
      })
      this.#tasks.push({ backend, states: statesOf(backend), directory })
    }
    this.#expectFilesInRange()
  }

  #at(key: number): TaskStates {
    const task = this.#tasks.find(({ backend }) => backend.keyGroupRange.contains(groupOf(key)))
    if (task === undefined) throw new Error(`no task has key ${key}`)
    task.backend.setCurrentKey(key)
    return task.states
  }

  /** `text` says what becomes of each key: undefined deletes, null leaves it. */
  write(text: (key: number) => string | undefined | null): void {
    for (let key = 0; key < KEYS; key++) {
      const value = text(key)
      if (value === null) continue
      if (value === undefined) {
        this.#at(key).value.clear()
        this.model.delete(key)
      } else {
        this.#at(key).value.update(value)
        this.model.set(key, value)
      }
    }
  }

  /** A checkpoint of all tasks, completed; the next restart begins with it. */
  async checkpoint(): Promise<void> {
    await this.#snapshot(CheckpointOptions.checkpoint())
    for (const { backend } of this.#tasks) backend.notifyCheckpointComplete(this.#checkpointId)
  }

  async savepoint(): Promise<void> {
    await this.#snapshot(CheckpointOptions.savepoint())
  }

  async #snapshot(options: CheckpointOptions): Promise<void> {
    const id = ++this.#checkpointId
    const handles: Handle[] = []
    for (const { backend } of this.#tasks) {
      const factory = this.#storage.streamFactory(id)
      handles.push(handleOf(await backend.snapshot(id, 0, factory, options)))
    }
    this.handles = handles
  }

  /** Point reads, and a scan of every task. */
  async expectModel(when: string): Promise<void> {
    const keys = await Promise.all(
      this.#tasks.map(({ backend }) => collect(backend.getKeys('value'))),
    )
    const sorted = (all: Iterable<number>): number[] => [...all].toSorted((a, b) => a - b)
    expect(sorted(keys.flat()), `keys ${when}`).toEqual(sorted(this.model.keys()))
    for (let key = 0; key < KEYS; key++) {
      expect(this.#at(key).value.value(), `value of ${key} ${when}`).toBe(this.model.get(key))
    }
  }

  /** Makes LevelDB flush and compact: more bytes than several memtables, over all keys, which are cleared afterwards. */
  async compact(): Promise<void> {
    if (this.#kind === 'hashmap') return
    for (let round = 0; round < 5; round++) {
      for (let key = 0; key < KEYS; key++) {
        const { map } = this.#at(key)
        map.put(0, `${round} of ${key} `.repeat(80))
        await this.#drainWhereNeeded()
      }
    }
    for (let key = 0; key < KEYS; key++) this.#at(key).map.clear()
    for (const { backend } of this.#tasks) await backend.drain()
  }

  async #drainWhereNeeded(): Promise<void> {
    for (const { backend } of this.#tasks) if (backend.needsDrain) await backend.drain()
  }

  /** Every table of the last snapshot, with the key groups that are in the file. */
  async tables(): Promise<FoundTable[]> {
    const directory = temporaryDirectory()
    const found: FoundTable[] = []
    for (const { keyGroupRange: range, sharedState } of this.handles) {
      for (const { role, state } of sharedState) {
        const path = join(directory, `${found.length}.ldb`)
        await this.#storage.download(state, path)
        const reader = TableReader.open(path)
        const entries = [...reader.entries()].map(({ userKey, type }) => ({
          group: keyGroupOf(userKey),
          type,
        }))
        reader.close()
        const tombstones = entries.filter(({ type }) => type === ValueType.Deletion)
        found.push({
          role,
          range,
          groups: [...new Set(entries.map(({ group }) => group))],
          tombstoneGroups: [...new Set(tombstones.map(({ group }) => group))],
        })
      }
    }
    return found
  }

  async expectTablesInRange(): Promise<void> {
    for (const { role, range, groups } of await this.tables()) {
      const outside = groups.filter((group) => !range.contains(group))
      expect(outside, `a ${role} of ${range.toString()}`).toEqual([])
    }
  }

  /** Of the tables on local disk, right after the restore: LevelDB's, and the links that the next checkpoint may need. */
  #expectFilesInRange(): void {
    for (const { backend, directory } of this.#tasks) {
      if (this.#kind === 'hashmap') continue
      const scratch = temporaryDirectory()
      for (const [index, path] of localTables(directory).entries()) {
        const held = join(scratch, `${index}.ldb`)
        if (!linked(path, held)) continue
        const reader = TableReader.open(held)
        const groups = new Set([...reader.entries()].map(({ userKey }) => keyGroupOf(userKey)))
        reader.close()
        const outside = [...groups].filter((group) => !backend.keyGroupRange.contains(group))
        expect(outside, `${path} of ${backend.keyGroupRange.toString()}`).toEqual([])
      }
    }
  }

  async close(): Promise<void> {
    for (const { backend } of this.#tasks) await backend.close()
    this.#tasks = []
  }
}

function localTables(directory: string): string[] {
  const name = readdirSync(directory).find((entry) => entry.startsWith('inc-'))
  if (name === undefined) throw new Error('a backend has a folder')
  const incarnation = join(directory, name)
  // Not every file in the folder: LevelDB may be writing one.
  const version = readManifest(join(incarnation, 'db')).files.map(({ number }) =>
    join(incarnation, 'db', tableFileName(number)),
  )
  const links = readdirSync(join(incarnation, 'tables')).map((each) =>
    join(incarnation, 'tables', each),
  )
  return [...version, ...links]
}

/** False when the file is gone: LevelDB has replaced it. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

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
  split.write((key) => (groupOf(key) <= 31 ? undefined : null))
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
