/** Deltas of several sources, merged at the restore that unites them or by a checkpoint after it. */
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { decodeMetaInformation } from '../../src/checkpoint/meta-information.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import {
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
} from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { TableReader } from '../../src/table/table-reader.js'
import {
  handleOf,
  MAX_PARALLELISM,
  stateBackendOf,
  statesOf,
  temporaryDirectory,
  WHOLE_RANGE,
  type Backend,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'

const DELTAS = { smallStateBytes: 2 ** 30, deltaCountMax: 1000 }

const storage = new CheckpointStorage(new MemoryObjectStore(), {
  jobId: 'job',
  inlineThresholdBytes: 0,
})

async function open(
  kind: BackendKind,
  policy: RebasePolicy | Partial<RebasePolicy>,
  keyGroupRange: KeyGroupRange,
  stateHandles: readonly Handle[] = [],
): Promise<Backend> {
  const stateBackend = stateBackendOf(kind, temporaryDirectory(), { policy })
  const backend = await stateBackend.createKeyedStateBackend({
    operatorId: 'operator',
    keySerializer: numberKey,
    maxParallelism: MAX_PARALLELISM,
    keyGroupRange,
    stateHandles,
    checkpointStorage: storage,
  })
  onTestFinished(() => backend.close())
  return backend
}

let lastCheckpointId = 0

async function checkpoint(backend: Backend): Promise<Handle> {
  const id = ++lastCheckpointId
  const options = CheckpointOptions.checkpoint()
  const handle = handleOf(await backend.snapshot(id, 0, storage.streamFactory(id), options))
  backend.notifyCheckpointComplete(id)
  return handle
}

const keysOf = (range: KeyGroupRange): number[] =>
  Array.from({ length: 200 }, (_, key) => key).filter((key) =>
    range.contains(computeKeyGroupForKeyHash(numberKey.hashCode(key), MAX_PARALLELISM)),
  )

/** A source whose checkpoint has so many deltas, each of all its keys. */
async function source(kind: BackendKind, index: number, deltas: number): Promise<Handle> {
  const range = computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, 3, index)
  const backend = await open(kind, DELTAS, range)
  const { value } = statesOf(backend)
  let handle: Handle | undefined
  for (let delta = 0; delta < deltas; delta++) {
    for (const key of keysOf(range)) {
      backend.setCurrentKey(key)
      value.update(`${delta}`)
    }
    handle = await checkpoint(backend)
  }
  if (handle === undefined) throw new Error('a source has deltas')
  return handle
}

/** What a handle says of its tables is true, table by table. */
async function expectTrueSequences(handle: Handle): Promise<void> {
  const directory = temporaryDirectory()
  for (const [index, table] of handle.sharedState.entries()) {
    const path = join(directory, `${index}.ldb`)
    await storage.download(table.state, path)
    const reader = TableReader.open(path)
    const largest = Math.max(...[...reader.entries()].map(({ sequence }) => sequence))
    reader.close()
    expect(table.largestSequence, `table ${index}`).toBeGreaterThanOrEqual(largest)
  }
}

const KINDS = ['leveldb', 'hashmap'] as const

/** One task with the states of the first two sources; the one with the small sequences comes last. */
async function united(
  kind: BackendKind,
  policy: Partial<RebasePolicy>,
  counts: readonly [number, number],
): Promise<Handle> {
  const sources = [await source(kind, 0, counts[0]), await source(kind, 1, counts[1])]
  const [first, second] = [0, 1].map((index) =>
    computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, 3, index),
  )
  if (first === undefined || second === undefined) throw new Error('there are two ranges')
  const range = KeyGroupRange.of(first.startKeyGroup, second.endKeyGroup)
  const backend = await open(kind, policy, range, sources)
  statesOf(backend)
  return checkpoint(backend)
}

it.each(KINDS)(
  'a checkpoint that merges restored deltas states the largest sequence of all their sources, %s',
  async (kind) => {
    const handle = await united(kind, { ...DELTAS, deltaCountMax: 4 }, [6, 2])
    expect(handle.sharedState).toHaveLength(1)
    await expectTrueSequences(handle)
  },
)

it.each(KINDS)(
  'a restore that merges deltas states the largest sequence of all their sources, %s',
  async (kind) => {
    const handles = [await united(kind, DELTAS, [95, 2]), await source(kind, 2, 10)]
    expect(handles.map(({ sharedState }) => sharedState.length)).toEqual([97, 10])
    const backend = await open(kind, DELTAS, WHOLE_RANGE, handles)
    const { value } = statesOf(backend)
    const handle = await checkpoint(backend)
    expect(handle.sharedState).toHaveLength(2)
    await expectTrueSequences(handle)
    const values = keysOf(WHOLE_RANGE).map((key) => {
      backend.setCurrentKey(key)
      return value.value()
    })
    expect(new Set(values)).toEqual(new Set(['94', '1', '9']))
  },
)

/** More than a packed map holds. */
const SPILLED = 300

/** A map of one key of the backend, spilled so many times: each takes an epoch. */
function spill(backend: Backend, times: number): void {
  const { map } = statesOf(backend)
  const [key] = keysOf(backend.keyGroupRange)
  if (key === undefined) throw new Error('the range has a key')
  backend.setCurrentKey(key)
  for (let time = 0; time < times; time++) {
    map.clear()
    for (let index = 0; index < SPILLED; index++) map.put(index, `${time}`)
  }
}

async function lastEpochOf({ metaState }: Handle): Promise<number> {
  return decodeMetaInformation(await storage.readBytes(metaState)).lastEpoch
}

it.each(KINDS)('a union gives no epoch that a source gave, whichever it was, %s', async (kind) => {
  const handles: Handle[] = []
  for (const [index, times] of [1, 3, 2].entries()) {
    const range = computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, 3, index)
    const backend = await open(kind, DELTAS, range)
    spill(backend, times)
    handles.push(await checkpoint(backend))
  }
  expect(await Promise.all(handles.map(lastEpochOf))).toEqual([1, 3, 2])
  for (const order of [handles, handles.toReversed()]) {
    const backend = await open(kind, DELTAS, WHOLE_RANGE, order)
    spill(backend, 1)
    expect(await lastEpochOf(await checkpoint(backend))).toBe(4)
    await backend.close()
  }
})
