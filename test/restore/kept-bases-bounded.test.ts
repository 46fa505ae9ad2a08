/** With `localRecovery`, base tables of checkpoints that failed do not pile up on the disk. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { FaultObjectStore, failing } from '../support/fault-object-store.js'
import {
  rejection,
  SMALL_MEMORY_BYTES,
  temporaryDirectory,
  type Backend,
  type BackendKind,
} from '../support/state-task.js'

const ROUNDS = 24
const KEYS = 2000

async function start(kind: BackendKind, directory: string): Promise<Backend> {
  const options = {
    directory,
    memory: SMALL_MEMORY_BYTES,
    localRecovery: true,
    rebasePolicy: { smallStateBytes: 0, deltaFractionMax: 0 },
  }
  const stateBackend =
    kind === 'leveldb' ? new LevelDBStateBackend(options) : new HashMapStateBackend(options)
  const backend = await stateBackend.createKeyedStateBackend({
    operatorId: 'operator',
    keySerializer: numberKey,
    maxParallelism: 16,
    keyGroupRange: KeyGroupRange.of(0, 15),
  })
  onTestFinished(() => backend.close())
  return backend
}

/** Each round is about 2 MB: more than a memtable. */
async function rewrite(backend: Backend, round: number): Promise<void> {
  const value = backend.getState(valueState<string>('value'))
  for (let key = 0; key < KEYS; key++) {
    if (backend.needsDrain) await backend.drain()
    backend.setCurrentKey(key)
    value.update(`${round} of ${key} `.repeat(100))
  }
}

function keptTables(directory: string): number {
  const incarnation = readdirSync(directory).find((name) => name.startsWith('inc-')) ?? ''
  return readdirSync(join(directory, incarnation, 'base')).length
}

describe.each<BackendKind>(['leveldb', 'hashmap'])('kept base tables, %s', (kind) => {
  it.each(['fail', 'are aborted', 'are never told of'])(
    'stay few while all checkpoints %s',
    async (end) => {
      const directory = temporaryDirectory()
      const backend = await start(kind, directory)
      const objects = new FaultObjectStore(new MemoryObjectStore())
      const storage = new CheckpointStorage(objects, { jobId: 'job' })
      if (end === 'fail') objects.plan = failing('put', 'shared/')
      for (let id = 1; id <= ROUNDS; id++) {
        await rewrite(backend, id)
        const options = CheckpointOptions.checkpoint()
        const snapshot = backend.snapshot(id, 0, storage.streamFactory(id), options)
        if (end === 'fail') await rejection(snapshot)
        else await snapshot
        if (end === 'are aborted') backend.notifyCheckpointAborted(id)
        await backend.drain()
        // Each of them captured one table at least.
        expect(keptTables(directory)).toBeLessThan(ROUNDS)
      }
    },
  )
})
