/**
 * A process of its own: a task that restores what it is given, writes, takes checkpoints, says what the last one is, and then waits to be
 * killed. Arguments as one JSON text, see `KilledTaskOptions`; one line of JSON on its standard output: a handle.
 */
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import type { IncrementalRemoteKeyedStateHandleFields } from '../../src/checkpoint/keyed-state-handle.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import type { StateBackend } from '../../src/state-backend.js'
import { valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'

export interface KilledTaskOptions {
  readonly kind: 'leveldb' | 'hashmap'
  /** The work directory; left out for one of the backend's own. */
  readonly directory?: string
  readonly storageDirectory: string
  /** The id of the first checkpoint. */
  readonly firstCheckpointId: number
  /** Keys of each checkpoint, from 0: all are set to `<checkpoint id> of <key> `, fifty times. Checkpoint 1 is full: it has a base. */
  readonly keys: readonly number[]
  readonly restoreFrom?: IncrementalRemoteKeyedStateHandleFields
  readonly localRecovery?: boolean
}

const options = JSON.parse(process.argv[2] ?? '') as KilledTaskOptions
const common = {
  memory: 8 * 2 ** 20,
  rebasePolicy: { smallStateBytes: 2 ** 18, deltaFractionMax: 0.5 },
  localRecovery: options.localRecovery ?? false,
  ...(options.directory === undefined ? {} : { directory: options.directory }),
}

function stateBackendOf(): StateBackend {
  if (options.kind === 'hashmap') return new HashMapStateBackend(common)
  return new LevelDBStateBackend({ directory: '', ...common })
}

const storage = new CheckpointStorage(new DirectoryObjectStore(options.storageDirectory), {
  jobId: 'job',
  inlineThresholdBytes: 0,
})
const backend = await stateBackendOf().createKeyedStateBackend({
  operatorId: 'operator',
  keySerializer: numberKey,
  maxParallelism: 16,
  keyGroupRange: KeyGroupRange.of(0, 15),
  stateHandles: options.restoreFrom === undefined ? [] : [options.restoreFrom],
  checkpointStorage: storage,
})
const value = backend.getState(valueState<string>('value'))
let handle: IncrementalRemoteKeyedStateHandleFields | undefined = options.restoreFrom
for (const [index, keys] of options.keys.entries()) {
  const id = options.firstCheckpointId + index
  for (let key = 0; key < keys; key++) {
    backend.setCurrentKey(key)
    value.update(`${id} of ${key} `.repeat(50))
    if (backend.needsDrain) await backend.drain()
  }
  const factory = storage.streamFactory(id)
  const kind = id === 1 ? CheckpointOptions.fullCheckpoint() : CheckpointOptions.checkpoint()
  const result = await backend.snapshot(id, 0, factory, kind)
  backend.notifyCheckpointComplete(id)
  handle = result.jobManagerOwnedSnapshot
}
console.log(JSON.stringify(handle ?? null))
process.stdin.resume()
