/** The two processes of the measurement: one that writes, takes checkpoints and is killed, and one that restores. */
import { Buffer } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CheckpointOptions,
  CheckpointStorage,
  DirectoryObjectStore,
  KeyGroupRange,
  LevelDBStateBackend,
  numberKey,
  valueState,
  type CheckpointableKeyedStateBackend,
  type IncrementalRemoteKeyedStateHandleFields,
} from '../../src/index.js'
import { uniformKeys } from '../smoke/harness.js'
import type { RestoreFigures, Task } from './main.js'

const KEYS = 200_000
const VALUE_BYTES = 1_000
/** Checkpoints after the first, each after one per cent of the keys were changed. */
const CHECKPOINTS = 20

const bytes = valueState<Uint8Array>('bytes')

/** A directory, read at a given speed: the network between a task and its storage. */
class DistantObjectStore extends DirectoryObjectStore {
  readonly #bytesPerMs: number
  #freeAtMs = 0

  constructor(directory: string, mebibytesPerSecond: number) {
    super(directory)
    this.#bytesPerMs = (mebibytesPerSecond * 2 ** 20) / 1000
  }

  override async get(
    ...args: Parameters<DirectoryObjectStore['get']>
  ): Promise<AsyncIterable<Uint8Array>> {
    return this.#slowed(await super.get(...args))
  }

  /** All readers share one line. */
  async *#slowed(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const chunk of chunks) {
      const now = performance.now()
      this.#freeAtMs = Math.max(this.#freeAtMs, now) + chunk.length / this.#bytesPerMs
      // Timers are no finer than a millisecond: short waits add up in `#freeAtMs` first.
      if (this.#freeAtMs - now > 2) await sleep(this.#freeAtMs - now)
      yield chunk
    }
  }
}

function storageOf({ storageDirectory, mebibytesPerSecond }: Task): CheckpointStorage {
  const store =
    mebibytesPerSecond === undefined
      ? new DirectoryObjectStore(storageDirectory)
      : new DistantObjectStore(storageDirectory, mebibytesPerSecond)
  return new CheckpointStorage(store, { jobId: 'bench' })
}

function open(
  { workDirectory, localRecovery }: Task,
  checkpointStorage: CheckpointStorage,
  stateHandles: readonly IncrementalRemoteKeyedStateHandleFields[],
): Promise<CheckpointableKeyedStateBackend<number>> {
  const stateBackend = new LevelDBStateBackend({
    directory: workDirectory,
    memory: 64 * 2 ** 20,
    localRecovery,
  })
  return stateBackend.createKeyedStateBackend({
    operatorId: 'bench',
    keySerializer: numberKey,
    maxParallelism: 128,
    keyGroupRange: KeyGroupRange.of(0, 127),
    stateHandles,
    checkpointStorage,
  })
}

async function write(task: Task): Promise<IncrementalRemoteKeyedStateHandleFields> {
  const storage = storageOf(task)
  const backend = await open(task, storage, [])
  const state = backend.getState(bytes)
  const set = async (key: number, id: number): Promise<void> => {
    backend.setCurrentKey(key)
    const value = Buffer.alloc(VALUE_BYTES)
    value.writeUInt32LE(key)
    value.writeUInt32LE(id, 4)
    state.update(value)
    if (backend.needsDrain) await backend.drain()
  }
  let handle: IncrementalRemoteKeyedStateHandleFields | undefined
  for (let id = 1; id <= 1 + CHECKPOINTS; id++) {
    if (id === 1) for (let key = 0; key < KEYS; key++) await set(key, id)
    else for (const key of uniformKeys(KEYS, KEYS / 100, id)) await set(key, id)
    const factory = storage.streamFactory(id)
    const result = await backend.snapshot(id, 0, factory, CheckpointOptions.checkpoint())
    backend.notifyCheckpointComplete(id)
    handle = result.jobManagerOwnedSnapshot
  }
  if (handle === undefined) throw new Error('the state is not empty')
  return handle
}

async function restore(task: Task): Promise<RestoreFigures> {
  const handles = task.handle === undefined ? [] : [task.handle]
  const storage = storageOf(task)
  const startMs = performance.now()
  const startCpu = process.cpuUsage()
  const backend = await open(task, storage, handles)
  const durationMs = performance.now() - startMs
  const { user, system } = process.cpuUsage(startCpu)
  const { restored } = backend
  await backend.close()
  return { durationMs, cpuMs: (user + system) / 1000, ...restored }
}

const task = JSON.parse(process.argv[2] ?? '') as Task
console.log(JSON.stringify(task.handle === undefined ? await write(task) : await restore(task)))
// The process that wrote is killed as it stands.
if (task.handle === undefined) process.stdin.resume()
