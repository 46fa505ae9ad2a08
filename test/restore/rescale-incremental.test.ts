/**
 * The first checkpoint after a rescale, table by table: what lies in a new range goes on under the name it has in storage, what reached
 * beyond it was cut and goes up anew, what lies outside is not named, and nothing else is brought to storage.
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import type { TableHandle } from '../../src/checkpoint/keyed-state-handle.js'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { keyGroupOf } from '../../src/record/composite-key.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { userKeyOf } from '../../src/table/internal-key.js'
import { TableReader } from '../../src/table/table-reader.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import {
  groupOf,
  handleOf,
  MAX_PARALLELISM,
  stateBackendOf,
  statesOf,
  temporaryDirectory,
  throughJSON,
  WHOLE_RANGE,
  type Backend,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'

const KEYS = 400
/** Nothing is merged and no base renewed, once there is one. */
const DELTAS: Partial<RebasePolicy> = { smallStateBytes: 2 ** 30, deltaCountMax: 1000 }

const range = (start: number, end: number): KeyGroupRange => KeyGroupRange.of(start, end)

let puts: string[] = []
let objects = new FaultObjectStore(new MemoryObjectStore())
let storage = new CheckpointStorage(objects, { jobId: 'job', inlineThresholdBytes: 0 })
let backends: Backend[] = []

beforeEach(() => {
  objects = new FaultObjectStore(new MemoryObjectStore())
  objects.plan = (operation, key) => {
    if (operation === 'put') puts.push(key.slice('job/'.length))
    return undefined
  }
  storage = new CheckpointStorage(objects, { jobId: 'job', inlineThresholdBytes: 0 })
})
afterEach(() => Promise.all(backends.map((backend) => backend.close())))

async function open(
  kind: BackendKind,
  keyGroupRange: KeyGroupRange,
  stateHandles: readonly Handle[] = [],
): Promise<Backend> {
  const stateBackend = stateBackendOf(kind, temporaryDirectory(), { policy: DELTAS })
  const backend = await stateBackend.createKeyedStateBackend({
    operatorId: 'operator',
    keySerializer: numberKey,
    maxParallelism: MAX_PARALLELISM,
    keyGroupRange,
    stateHandles: stateHandles.map(throughJSON),
    checkpointStorage: storage,
  })
  backends.push(backend)
  return backend
}

function write(backend: Backend, within: KeyGroupRange, text: string): void {
  const { value } = statesOf(backend)
  for (let key = 0; key < KEYS; key++) {
    const group = groupOf(key, MAX_PARALLELISM)
    if (!within.contains(group) || !backend.keyGroupRange.contains(group)) continue
    backend.setCurrentKey(key)
    value.update(`${text} of ${key}`)
  }
}

async function checkpoint(
  backend: Backend,
  id: number,
  options = CheckpointOptions.checkpoint(),
): Promise<Handle> {
  const handle = handleOf(await backend.snapshot(id, 0, storage.streamFactory(id), options))
  backend.notifyCheckpointComplete(id)
  return handle
}

const locationOf = ({ state }: TableHandle): string =>
  state.kind === 'object' ? state.location : 'inline'
const locationsOf = (handle: Handle): string[] => handle.sharedState.map(locationOf)

function groupsOf({ smallest, largest }: TableHandle): [number, number] {
  const group = (key: string): number => keyGroupOf(userKeyOf(Buffer.from(key, 'base64')))
  return [group(smallest), group(largest)]
}

/** Key groups that the entries of a table in storage have. */
async function groupsIn(table: TableHandle): Promise<number[]> {
  const path = join(temporaryDirectory(), 'table.ldb')
  await storage.download(table.state, path)
  const reader = TableReader.open(path)
  const groups = new Set([...reader.entries()].map(({ userKey }) => keyGroupOf(userKey)))
  reader.close()
  return [...groups]
}

/** What becomes of the tables of `old` in `now`: those that are kept in a handle's order, bases first. */
async function fatesOf(
  old: readonly Handle[],
  now: KeyGroupRange,
): Promise<{ kept: string[]; clipped: number }> {
  const kept: string[] = []
  let clipped = 0
  const tables = old.flatMap(({ sharedState }) => sharedState)
  for (const table of tables.toSorted((a, b) => a.role.localeCompare(b.role))) {
    const groups = await groupsIn(table)
    const inside = groups.filter((group) => now.contains(group))
    if (inside.length === groups.length) kept.push(locationOf(table))
    else if (inside.length > 0) clipped++
  }
  return { kept, clipped }
}

/** Of one task over everything: a table of each half, in two parts, and one of all. */
async function oneTask(kind: BackendKind): Promise<Handle[]> {
  const backend = await open(kind, WHOLE_RANGE)
  const parts = [range(0, 7), range(8, 15), range(0, 3), range(12, 15), WHOLE_RANGE]
  let handle: Handle | undefined
  for (const [index, part] of parts.entries()) {
    write(backend, part, `delta ${index}`)
    handle = await checkpoint(backend, index + 1)
  }
  if (handle === undefined) throw new Error('there is a handle')
  expect(handle.sharedState.map(groupsOf)).toEqual([
    [0, 7],
    [8, 15],
    [0, 3],
    [12, 15],
    [0, 15],
  ])
  return [handle]
}

/** Four tasks, each with a base and a delta. */
async function fourTasks(kind: BackendKind): Promise<Handle[]> {
  const handles: Handle[] = []
  for (const start of [0, 4, 8, 12]) {
    const own = range(start, start + 3)
    const first = await open('hashmap', own)
    write(first, own, 'base')
    const based = await checkpoint(first, 1, CheckpointOptions.fullCheckpoint())
    const second = await open(kind, own, [based])
    write(second, own, 'delta')
    const handle = await checkpoint(second, 2)
    expect(handle.sharedState.map(({ role }) => role)).toEqual(['base', 'delta'])
    handles.push(handle)
  }
  return handles
}

type Take = (kind: BackendKind) => Promise<Handle[]>

describe.each<BackendKind>(['leveldb', 'hashmap'])(
  'the first checkpoint after a rescale, %s',
  (kind) => {
    it.each<[string, Take, KeyGroupRange, { kept: number; clipped: number; gone: number }]>([
      ['1 to 2, cut between tables', oneTask, range(0, 7), { kept: 2, clipped: 1, gone: 2 }],
      ['1 to 2, cut through tables', oneTask, range(0, 9), { kept: 2, clipped: 2, gone: 1 }],
      ['1 to 3, in the middle', oneTask, range(3, 12), { kept: 0, clipped: 5, gone: 0 }],
      ['4 to 2', fourTasks, range(0, 7), { kept: 4, clipped: 0, gone: 4 }],
      ['4 to 2, uneven', fourTasks, range(0, 5), { kept: 2, clipped: 2, gone: 4 }],
      ['4 to 3, the middle one', fourTasks, range(5, 10), { kept: 0, clipped: 4, gone: 4 }],
      ['4 to 2, the rest', fourTasks, range(6, 15), { kept: 4, clipped: 2, gone: 2 }],
      ['4 to 1', fourTasks, WHOLE_RANGE, { kept: 8, clipped: 0, gone: 0 }],
    ])(
      'keeps the names of what was not cut, and uploads nothing but what was: %s',
      async (_, take, now, { kept, clipped, gone }) => {
        const old = await take(kind)
        const fates = await fatesOf(old, now)
        const oldNames = old.flatMap(locationsOf)
        expect({ ...fates, kept: fates.kept.length }).toEqual({ kept, clipped })
        expect(oldNames.length).toBe(kept + clipped + gone)

        const backend = await open(kind, now, old)
        statesOf(backend)
        puts = []
        const first = await checkpoint(backend, 100)
        const names = locationsOf(first)
        expect(names.filter((name) => oldNames.includes(name))).toEqual(fates.kept)
        const fresh = first.sharedState.filter((table) => !oldNames.includes(locationOf(table)))
        expect(fresh).toHaveLength(clipped)
        expect(puts.toSorted()).toEqual(
          [...fresh.map(locationOf), ...first.objects().exclusive].toSorted(),
        )
        const uploaded = [...fresh.map(({ state }) => state), first.metaState]
        expect(first.checkpointedSize).toBe(uploaded.reduce((sum, each) => sum + each.sizeBytes, 0))
        for (const table of first.sharedState) {
          const outside = (await groupsIn(table)).filter((group) => !now.contains(group))
          expect(outside, locationOf(table)).toEqual([])
        }

        // From then on only what is written goes up: one delta.
        write(backend, range(now.startKeyGroup, now.startKeyGroup), 'late')
        puts = []
        const second = await checkpoint(backend, 101)
        expect(locationsOf(second).slice(0, -1)).toEqual(names)
        expect(puts.toSorted()).toEqual(
          [...locationsOf(second).slice(-1), ...second.objects().exclusive].toSorted(),
        )
      },
    )
  },
)
