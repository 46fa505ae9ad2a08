/** Options that are `undefined` are options that were not given, also for a program with exactOptionalPropertyTypes. */
import { expect, it, onTestFinished } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { stringKey } from '../../src/record/key-serializer.js'
import { mapState, valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { MemoryBudget } from '../../src/store/memory-budget.js'
import { temporaryDirectory } from '../support/state-task.js'

const common = {
  memory: undefined,
  compression: undefined,
  rebasePolicy: undefined,
  localRecovery: undefined,
  clock: undefined,
}

it.each([
  ['leveldb', () => new LevelDBStateBackend({ directory: temporaryDirectory(), ...common })],
  ['hashmap', () => new HashMapStateBackend({ directory: undefined, ...common })],
])('undefined stands for the default of every option, %s', async (_, stateBackend) => {
  const objects = [
    new MemoryObjectStore({ clock: undefined }),
    new DirectoryObjectStore(temporaryDirectory(), { fileSystem: undefined, randomId: undefined }),
  ]
  expect(new MemoryBudget(undefined, { backends: undefined })).toEqual(new MemoryBudget())
  const backend = await stateBackend().createKeyedStateBackend({
    operatorId: 'operator',
    keySerializer: stringKey,
    maxParallelism: 4,
    keyGroupRange: KeyGroupRange.of(0, 3),
    stateHandles: undefined,
    checkpointStorage: undefined,
    signal: undefined,
  })
  onTestFinished(() => backend.close())
  backend.setCurrentKey('key')
  const serializer = { serializer: undefined }
  const value = backend.getState(
    valueState<string>('value', { ...serializer, defaultValue: undefined }),
  )
  value.update('text')
  backend.getState(mapState<number, string>('map', serializer)).put(1, 'text')
  for (const [index, store] of objects.entries()) {
    const storage = new CheckpointStorage(store, { jobId: 'job', inlineThresholdBytes: 0 })
    const [id, options] = [index + 1, CheckpointOptions.checkpoint(undefined)]
    await backend.snapshot(id, 0, storage.streamFactory(id), options, { signal: undefined })
  }
  expect(value.value()).toBe('text')
})
