/** With `localRecovery` a crash leaves all tables of the last completed checkpoint on the machine, also those that LevelDB gave up. */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { RestoreStatistics } from '../../src/checkpoint/checkpointable-keyed-state-backend.js'
import type { IncrementalRemoteKeyedStateHandleFields } from '../../src/checkpoint/keyed-state-handle.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { SMALL_MEMORY_BYTES, temporaryDirectory, type BackendKind } from '../support/state-task.js'
import { runKilledTask } from './run-killed-task.js'

/** More than the two memtables of 1 MiB that LevelDB may not have flushed: so there is a base. */
const KEYS = 6000

/** LevelDB has compacted away every table that it had when the process was killed. */
function compactEverythingAway(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.startsWith('inc-'))
      rmSync(join(directory, name, 'db'), { recursive: true, force: true })
  }
}

async function killedAndRestored(
  kind: BackendKind,
  localRecovery: boolean,
): Promise<RestoreStatistics> {
  const directory = join(temporaryDirectory(), 'work')
  const storageDirectory = join(temporaryDirectory(), 'storage')
  const common = { kind, directory, storageDirectory, localRecovery }
  const first = await runKilledTask({ ...common, firstCheckpointId: 1, keys: [KEYS, 40] })
  compactEverythingAway(directory)
  // A second life, so that tables that were restored are kept as well.
  const restoreFrom = JSON.parse(first) as IncrementalRemoteKeyedStateHandleFields
  const keys = [30, 20]
  const second = await runKilledTask({ ...common, restoreFrom, firstCheckpointId: 3, keys })
  compactEverythingAway(directory)
  const handle = JSON.parse(second) as IncrementalRemoteKeyedStateHandleFields
  const roles = new Set(handle.sharedState.map(({ role }) => role))
  expect(roles).toEqual(new Set(['base', 'delta']))

  const options = { directory, memory: SMALL_MEMORY_BYTES, localRecovery }
  const stateBackend =
    kind === 'leveldb' ? new LevelDBStateBackend(options) : new HashMapStateBackend(options)
  const backend = await stateBackend.createKeyedStateBackend({
    operatorId: 'operator',
    keySerializer: numberKey,
    maxParallelism: 16,
    keyGroupRange: KeyGroupRange.of(0, 15),
    stateHandles: [handle],
    checkpointStorage: new CheckpointStorage(new DirectoryObjectStore(storageDirectory), {
      jobId: 'job',
    }),
  })
  onTestFinished(() => backend.close())
  const value = backend.getState(valueState<string>('value'))
  for (let key = 0; key < KEYS; key++) {
    backend.setCurrentKey(key)
    const id = key < 20 ? 4 : key < 30 ? 3 : key < 40 ? 2 : 1
    expect(value.value()).toBe(`${id} of ${key} `.repeat(50))
  }
  return backend.restored
}

describe.each(['leveldb', 'hashmap'] as const)(
  'a task whose base LevelDB compacted away, %s',
  (kind) => {
    it('finds all of its checkpoint after a crash with localRecovery', async () => {
      const restored = await killedAndRestored(kind, true)
      expect(restored).toMatchObject({ fetchedTables: 0, fetchedBytes: 0 })
      expect(restored.linkedTables).toBeGreaterThan(1)
    })

    it('finds only its deltas without', async () => {
      const restored = await killedAndRestored(kind, false)
      expect(restored.fetchedTables).toBeGreaterThan(0)
      expect(restored.linkedTables).toBeGreaterThan(0)
    })
  },
)
