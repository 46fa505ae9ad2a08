/**
 * The first checkpoint after a restore from tables that it may not name: a savepoint's, which lie in its own folder, and tables that the
 * restore cut. They are uploaded again, and what says so is the kind of the checkpoint.
 */
import { describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { CheckpointStateReader } from '../../src/storage/checkpoint-state-reader.js'
import {
  handleOf,
  StateTask,
  statesOf,
  throughJSON,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'

const KINDS = ['leveldb', 'hashmap'] as const
const DELTAS = { smallStateBytes: 2 ** 30, deltaCountMax: 1000 }
const REBASES = { smallStateBytes: 0, deltaFractionMax: 0 }
const FOLDER = 'savepoints/before-upgrade'
const KEYS = 300

const text = (key: number): string => `${key} `.repeat(30)

/** A savepoint of base tables, or of deltas only. */
async function savepointOf(task: StateTask): Promise<Handle> {
  const id = task.takeCheckpointId()
  const options = CheckpointOptions.savepoint({ savepointFolder: FOLDER })
  const factory = task.storage.streamFactory(id, options.target)
  return throughJSON(handleOf(await task.backend.snapshot(id, 0, factory, options)))
}

async function openSavepoint(task: StateTask, handle: Handle, kind: BackendKind): Promise<void> {
  await task.close()
  const checkpointStorage = new CheckpointStateReader(task.objects, { root: `${FOLDER}/` })
  await task.open([handle], { kind, checkpointStorage })
}

async function deleteSavepoint(task: StateTask): Promise<void> {
  const keys: string[] = []
  for await (const { key } of task.objects.list(`${FOLDER}/`)) keys.push(key)
  expect(keys.length).toBeGreaterThan(1)
  await task.objects.delete(keys)
}

const locations = ({ sharedState }: Handle): string[] =>
  sharedState.map(({ state }) => (state.kind === 'object' ? state.location : 'inline'))

const roles = ({ sharedState }: Handle): string[] => [
  ...new Set(sharedState.map(({ role }) => role)),
]

describe.each<[string, Partial<RebasePolicy>]>([
  ['that rebases', REBASES],
  ['that adds deltas', DELTAS],
])('a savepoint of a task %s', (_, policy) => {
  it.each(KINDS.flatMap((from) => KINDS.map((to): [BackendKind, BackendKind] => [from, to])))(
    'is named by no checkpoint after it, and the second one is incremental: %s to %s',
    async (from, to) => {
      const task = await StateTask.start({ kind: from, policy })
      await task.put(0, KEYS, text)
      await task.checkpoint()
      await task.put(0, 10, (key) => `second ${key}`)
      const savepoint = await savepointOf(task)
      await task.close()
      await task.objects.delete((await task.storedObjects()).map((name) => `job/${name}`))

      const next = await StateTask.start({ policy: DELTAS })
      while (next.takeCheckpointId() < savepoint.checkpointId);
      for await (const { key } of task.objects.list('')) {
        const chunks: Uint8Array[] = []
        for await (const chunk of await task.objects.get(key)) chunks.push(chunk)
        await next.objects.putIfAbsent(key, Buffer.concat(chunks))
      }
      await openSavepoint(next, savepoint, to)
      await next.put(10, 20, (key) => `third ${key}`)
      const first = await next.checkpoint()
      expect(roles(first.handle)).toEqual([...roles(savepoint), 'delta'].filter(unique))
      expect(first.kind).toBe(roles(savepoint).includes('base') ? 'rebase' : 'delta')
      expect(first.uploadedBytes).toBeGreaterThan(savepoint.stateSize / 2)
      const own = await next.storedObjects()
      for (const location of locations(first.handle)) expect(own).toContain(location)

      await deleteSavepoint(next)
      await next.put(20, 21, (key) => `fourth ${key}`)
      const second = await next.checkpoint()
      expect(second.kind).toBe('delta')
      expect(locations(second.handle)).toEqual([...locations(first.handle), expect.any(String)])
      expect(second.uploadedBytes).toBeLessThan(first.uploadedBytes / 4)

      for (const handle of [first.handle, second.handle]) {
        await next.restore(handle, to)
        const fourth = handle === second.handle ? 'fourth 20' : text(20)
        expect(next.values(9, 11)).toEqual(['second 9', 'third 10'])
        expect(next.values(19, 22)).toEqual(['third 19', fourth, text(21)])
      }
    },
  )

  it.each(KINDS)('goes to storage again after the first attempt failed: %s', async (kind) => {
    const task = await StateTask.start({ kind, policy })
    await task.put(0, KEYS, text)
    await task.checkpoint()
    await openSavepoint(task, await savepointOf(task), kind)
    statesOf(task.backend)
    task.objects.plan = (operation) => (operation === 'put' ? 'before' : undefined)
    await expect(task.checkpoint()).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    task.objects.heal()
    const { handle } = await task.checkpoint()
    await deleteSavepoint(task)
    await task.restore(handle)
    expect(task.values(0, KEYS)).toEqual(Array.from({ length: KEYS }, (_value, key) => text(key)))
  })

  it.each(KINDS)('is not named by the next savepoint either: %s', async (kind) => {
    const task = await StateTask.start({ kind, policy })
    await task.put(0, KEYS, text)
    await openSavepoint(task, await savepointOf(task), kind)
    statesOf(task.backend)
    const { handle } = await task.checkpoint(CheckpointOptions.savepoint())
    await deleteSavepoint(task)
    await task.restore(handle)
    expect(task.values(0, 2)).toEqual([text(0), text(1)])
  })
})

function unique<T>(item: T, index: number, items: readonly T[]): boolean {
  return items.indexOf(item) === index
}

describe('the first checkpoint after a restore that cut tables', () => {
  it.each<[string, Partial<RebasePolicy>, 'rebase' | 'delta']>([
    ['base tables', REBASES, 'rebase'],
    ['deltas', DELTAS, 'delta'],
  ])('says that it brought them to storage: %s', async (_, policy, kind) => {
    const task = await StateTask.start({ kind: 'hashmap', policy })
    await task.put(0, KEYS, text)
    const { handle: whole } = await task.checkpoint()
    const half = await StateTask.start({ policy: DELTAS })
    while (half.takeCheckpointId() < whole.checkpointId);
    await half.close()
    const keyGroupRange = KeyGroupRange.of(0, 7)
    await half.open([throughJSON(whole)], { keyGroupRange, checkpointStorage: task.storage })
    statesOf(half.backend)
    const first = await half.checkpoint()
    expect(first.kind).toBe(kind)
    expect(first.uploadedBytes).toBeGreaterThan(first.handle.metaState.sizeBytes)
    const second = await half.checkpoint()
    expect(second.kind).toBe('none')
    expect(second.uploadedBytes).toBe(second.handle.metaState.sizeBytes)
  })
})
