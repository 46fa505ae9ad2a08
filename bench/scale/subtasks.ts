/**
 * Our keyed backends over number keys: the subtasks of one operator in one process, with one memory budget between them. A state is
 * built once, left as a full checkpoint, and restored for each measurement, at whatever parallelism.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CheckpointOptions,
  CheckpointStorage,
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
  computeOperatorIndexForKeyGroup,
  DirectoryObjectStore,
  LevelDBStateBackend,
  MemoryBudget,
  numberKey,
  type CheckpointableKeyedStateBackend,
  type IncrementalRemoteKeyedStateHandleFields,
  type SnapshotResult,
} from '../../src/index.js'

const MAX_PARALLELISM = 128

/** What is left of a state that was built. */
interface Built {
  readonly checkpointId: number
  readonly handles: readonly IncrementalRemoteKeyedStateHandleFields[]
}

export interface SubtasksOptions {
  /** For the databases, and for the checkpoints that are taken. */
  readonly directory: string
  readonly memoryBytes: number
  readonly parallelism?: number
  /** Where `leaveCheckpoint` left the state to begin with. */
  readonly restoreFrom?: string
}

export class Subtasks {
  readonly backends: readonly CheckpointableKeyedStateBackend<number>[]
  readonly #directory: string
  #checkpointId: number

  private constructor(
    directory: string,
    backends: readonly CheckpointableKeyedStateBackend<number>[],
    checkpointId: number,
  ) {
    this.#directory = directory
    this.backends = backends
    this.#checkpointId = checkpointId
  }

  static async open(options: SubtasksOptions): Promise<Subtasks> {
    const { directory, memoryBytes, parallelism = 1, restoreFrom } = options
    const built = restoreFrom === undefined ? undefined : readBuilt(restoreFrom)
    const stateBackend = new LevelDBStateBackend({
      directory: join(directory, 'work'),
      memory: new MemoryBudget(memoryBytes, { backends: parallelism }),
    })
    const backends: CheckpointableKeyedStateBackend<number>[] = []
    for (let index = 0; index < parallelism; index++) {
      backends.push(
        await stateBackend.createKeyedStateBackend({
          operatorId: 'bench',
          keySerializer: numberKey,
          maxParallelism: MAX_PARALLELISM,
          keyGroupRange: computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, parallelism, index),
          stateHandles: built?.handles ?? [],
          checkpointStorage: restoreFrom === undefined ? undefined : storageOf(restoreFrom),
        }),
      )
    }
    return new Subtasks(directory, backends, built?.checkpointId ?? 0)
  }

  /** The only one. */
  get single(): CheckpointableKeyedStateBackend<number> {
    const [backend] = this.backends
    if (backend === undefined || this.backends.length > 1) throw new Error('not one subtask')
    return backend
  }

  /** The index of the subtask that a key belongs to. */
  indexOf(key: number): number {
    const hash = numberKey.hashCode(numberKey.identityOf(key))
    const keyGroup = computeKeyGroupForKeyHash(hash, MAX_PARALLELISM)
    return computeOperatorIndexForKeyGroup(MAX_PARALLELISM, this.backends.length, keyGroup)
  }

  /** One checkpoint of all subtasks, as at one barrier; complete when all are. */
  async checkpoint(options = CheckpointOptions.checkpoint()): Promise<SnapshotResult[]> {
    const id = ++this.#checkpointId
    const storage = storageOf(this.#directory)
    const results = await Promise.all(
      this.backends.map((backend) => backend.snapshot(id, 0, storage.streamFactory(id), options)),
    )
    for (const backend of this.backends) backend.notifyCheckpointComplete(id)
    return results
  }

  /** Takes a full checkpoint, for `restoreFrom`. */
  async leaveCheckpoint(): Promise<void> {
    const results = await this.checkpoint(CheckpointOptions.fullCheckpoint())
    const handles = results.flatMap(({ jobManagerOwnedSnapshot: handle }) => handle ?? [])
    const built: Built = { checkpointId: this.#checkpointId, handles }
    writeFileSync(builtPath(this.#directory), JSON.stringify(built))
  }

  async close(): Promise<void> {
    for (const backend of this.backends) await backend.close()
  }
}

function storageOf(directory: string): CheckpointStorage {
  const store = new DirectoryObjectStore(join(directory, 'checkpoints'))
  return new CheckpointStorage(store, { jobId: 'bench' })
}

function builtPath(directory: string): string {
  return join(directory, 'built.json')
}

function readBuilt(directory: string): Built {
  return JSON.parse(readFileSync(builtPath(directory), 'utf8')) as Built
}
