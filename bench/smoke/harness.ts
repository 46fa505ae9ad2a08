/** What all parts of the smoke benchmark share: fixed inputs, a backend with its storage. */
import { join } from 'node:path'
import {
  CheckpointOptions,
  CheckpointStorage,
  DirectoryObjectStore,
  KeyGroupRange,
  LevelDBStateBackend,
  numberKey,
  type CheckpointableKeyedStateBackend,
  type SnapshotResult,
} from '../../src/index.js'
import { FixedRandom } from '../harness/fixed-random.js'

const MAX_PARALLELISM = 128

/** Keys in [0, keyCount), uniform, the same in every run. */
export function uniformKeys(keyCount: number, length: number, seed?: number): Int32Array {
  const random = new FixedRandom(seed)
  return Int32Array.from({ length }, () => random.nextUint32() % keyCount)
}

/** A keyed backend over number keys, with a directory to checkpoint to. */
export class BenchBackend {
  readonly backend: CheckpointableKeyedStateBackend<number>
  readonly #storage: CheckpointStorage
  #checkpointId = 0

  private constructor(
    backend: CheckpointableKeyedStateBackend<number>,
    storage: CheckpointStorage,
  ) {
    this.backend = backend
    this.#storage = storage
  }

  static async open(directory: string, memoryMiB: number): Promise<BenchBackend> {
    const store = new DirectoryObjectStore(join(directory, 'checkpoints'))
    const storage = new CheckpointStorage(store, { jobId: 'bench' })
    const stateBackend = new LevelDBStateBackend({
      directory: join(directory, 'work'),
      memory: memoryMiB * 2 ** 20,
    })
    const backend = await stateBackend.createKeyedStateBackend({
      operatorId: 'bench',
      keySerializer: numberKey,
      maxParallelism: MAX_PARALLELISM,
      keyGroupRange: KeyGroupRange.of(0, MAX_PARALLELISM - 1),
    })
    return new BenchBackend(backend, storage)
  }

  /** Takes a checkpoint and completes it. */
  async checkpoint(): Promise<SnapshotResult> {
    const id = ++this.#checkpointId
    const factory = this.#storage.streamFactory(id)
    const result = await this.backend.snapshot(id, 0, factory, CheckpointOptions.checkpoint())
    this.backend.notifyCheckpointComplete(id)
    return result
  }
}

/** Lets the event loop turn, as a host does between batches of input. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
