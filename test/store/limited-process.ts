/**
 * A process of its own whose files may not grow beyond a limit (`ulimit -f`): takes a checkpoint, then writes until its store fails,
 * and prints what it met as one line of JSON. Arguments: the work directory, the checkpoint directory.
 */
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { StateBackendError } from '../../src/errors.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'

const WRITES_MAX = 100_000
const TEXT = 'x'.repeat(1000)

const [, , workDirectory = '', checkpointDirectory = ''] = process.argv

function codeOf(error: unknown): string {
  return error instanceof StateBackendError ? error.code : String(error)
}

const storage = new CheckpointStorage(new DirectoryObjectStore(checkpointDirectory), {
  jobId: 'job',
})
const stateBackend = new LevelDBStateBackend({ directory: workDirectory, memory: 8 * 2 ** 20 })
const backend = await stateBackend.createKeyedStateBackend<number>({
  operatorId: 'operator',
  keySerializer: numberKey,
  maxParallelism: 16,
  keyGroupRange: KeyGroupRange.of(0, 15),
})
const value = backend.getState(valueState<string>('value'))
const checkpoint = async (id: number): Promise<unknown> => {
  const result = await backend.snapshot(
    id,
    0,
    storage.streamFactory(id),
    CheckpointOptions.checkpoint(),
  )
  return result.jobManagerOwnedSnapshot
}

for (let key = 0; key < 100; key++) {
  backend.setCurrentKey(key)
  value.update(`value ${key}`)
}
const handle = await checkpoint(1)

const codes: string[] = []
try {
  for (let key = 0; key < WRITES_MAX; key++) {
    if (backend.needsDrain) await backend.drain()
    backend.setCurrentKey(key)
    value.update(TEXT + key)
  }
} catch (error) {
  codes.push(codeOf(error))
}
const attempts: (() => unknown)[] = [
  () => backend.setCurrentKey(1),
  () => value.value(),
  () => value.update('late'),
  () => backend.drain(),
  () => checkpoint(2),
]
for (const attempt of attempts) {
  try {
    await attempt()
    codes.push('none')
  } catch (error) {
    codes.push(codeOf(error))
  }
}
await backend.close()
console.log(JSON.stringify({ handle, codes }))
