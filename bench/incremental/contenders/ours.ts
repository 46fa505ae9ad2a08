/** Our LevelDB backend with a directory as storage, each checkpoint published as a coordinator would: its `_metadata` last. */
import type { Buffer } from 'node:buffer'
import { join } from 'node:path'
import {
  CheckpointOptions,
  CheckpointStorage,
  DirectoryObjectStore,
  encodeCheckpointMetadata,
  KeyGroupRange,
  LevelDBStateBackend,
  numberKey,
  openSnapshot,
  stateHandlesOf,
  valueState,
  type CheckpointableKeyedStateBackend,
  type CompletedCheckpoint,
  type ObjectBody,
  type ObjectStoreOptions,
  type SnapshotResult,
  type ValueState,
} from '../../../src/index.js'
import type {
  Contender,
  ContenderModule,
  ContenderOptions,
  RunningCheckpoint,
  Uploaded,
} from '../contender.js'

type SnapshotKind = 'checkpoint' | 'fullCheckpoint'

const JOB_ID = 'bench'
const OPERATOR_ID = 'stream'
const MAX_PARALLELISM = 128

export const incremental: ContenderModule = contenderModule('checkpoint')
export const full: ContenderModule = contenderModule('fullCheckpoint')

function contenderModule(kind: SnapshotKind): ContenderModule {
  return {
    prepared: 'checkpoint',
    open: (options) => Ours.open(options, join(options.directory, 'work'), kind),
    restore: (options) => Ours.open(options, join(options.directory, 'restored'), kind),
  }
}

/** Inlined state counts as often as it is written. */
class CountingStore extends DirectoryObjectStore {
  putBytes = 0

  override put(key: string, body: ObjectBody, options?: ObjectStoreOptions): Promise<void> {
    this.putBytes += body.sizeBytes
    return super.put(key, body, options)
  }

  override putIfAbsent(
    key: string,
    bytes: Uint8Array,
    options?: ObjectStoreOptions,
  ): Promise<boolean> {
    this.putBytes += bytes.length
    return super.putIfAbsent(key, bytes, options)
  }
}

class Ours implements Contender {
  readonly #backend: CheckpointableKeyedStateBackend<number>
  readonly #state: ValueState<Uint8Array>
  readonly #store: CountingStore
  readonly #storage: CheckpointStorage
  readonly #kind: SnapshotKind
  #newest: CompletedCheckpoint | undefined

  private constructor(
    backend: CheckpointableKeyedStateBackend<number>,
    store: CountingStore,
    kind: SnapshotKind,
    newest: CompletedCheckpoint | undefined,
  ) {
    this.#backend = backend
    this.#state = backend.getState(valueState<Uint8Array>('payload'))
    this.#store = store
    this.#storage = new CheckpointStorage(store, { jobId: JOB_ID })
    this.#kind = kind
    this.#newest = newest
  }

  static async open(
    { directory, memoryBytes }: ContenderOptions,
    workDirectory: string,
    kind: SnapshotKind,
  ): Promise<Ours> {
    const store = new CountingStore(join(directory, 'checkpoints'))
    const storage = new CheckpointStorage(store, { jobId: JOB_ID })
    const newestId = (await storage.listCheckpoints()).at(-1)
    const newest =
      newestId === undefined ? undefined : await openSnapshot(store, `${JOB_ID}/chk-${newestId}`)
    const stateBackend = new LevelDBStateBackend({ directory: workDirectory, memory: memoryBytes })
    const backend = await stateBackend.createKeyedStateBackend({
      operatorId: OPERATOR_ID,
      keySerializer: numberKey,
      maxParallelism: MAX_PARALLELISM,
      keyGroupRange: KeyGroupRange.of(0, MAX_PARALLELISM - 1),
      stateHandles: stateHandlesOf(newest?.checkpoint, OPERATOR_ID),
      checkpointStorage: newest?.state,
    })
    return new Ours(backend, store, kind, newest?.checkpoint)
  }

  read(key: number): Uint8Array | undefined {
    this.#backend.setCurrentKey(key)
    return this.#state.value()
  }

  write(key: number, value: Buffer): void {
    this.#backend.setCurrentKey(key)
    this.#state.update(value)
  }

  get mustSettle(): boolean {
    return this.#backend.needsDrain
  }

  settle(): Promise<unknown> {
    return this.#backend.drain()
  }

  checkpoint(): RunningCheckpoint {
    this.#store.putBytes = 0
    const id = (this.#newest?.checkpointId ?? 0) + 1
    const options = CheckpointOptions[this.#kind](id - 1)
    const snapshot = this.#backend.snapshot(id, 0, this.#storage.streamFactory(id), options)
    return { resumed: Promise.resolve(), durable: this.#complete(id, snapshot) }
  }

  async #complete(checkpointId: number, snapshot: Promise<SnapshotResult>): Promise<Uploaded> {
    const { jobManagerOwnedSnapshot, kind } = await snapshot
    const keyedStateHandle = jobManagerOwnedSnapshot ?? null
    const checkpoint: CompletedCheckpoint = {
      checkpointId,
      snapshotType: this.#kind === 'checkpoint' ? 'checkpoint' : 'full-checkpoint',
      epoch: 0,
      timestampMs: 0,
      jobId: JOB_ID,
      operators: [
        {
          operatorId: OPERATOR_ID,
          maxParallelism: MAX_PARALLELISM,
          subtasks: [{ subtaskIndex: 0, keyedStateHandle }],
        },
      ],
      hostData: null,
    }
    await this.#storage.writeMetadata(checkpointId, encodeCheckpointMetadata(checkpoint))
    this.#backend.notifyCheckpointComplete(checkpointId)
    this.#newest = checkpoint
    return { bytes: this.#store.putBytes, kind }
  }

  async discardOld(): Promise<void> {
    const newest = this.#newest
    if (newest === undefined) return
    for (const id of await this.#storage.listCheckpoints()) {
      if (id < newest.checkpointId) await this.#storage.discardCheckpoint(id)
    }
    const handles = stateHandlesOf(newest, OPERATOR_ID)
    const needed = new Set(handles.flatMap((handle) => handle.objects().shared))
    const unneeded: string[] = []
    for await (const { location } of this.#storage.listObjects()) {
      if (location.startsWith('shared/') && !needed.has(location)) unneeded.push(location)
    }
    await this.#storage.deleteObjects(unneeded)
  }

  close(): Promise<void> {
    return this.#backend.close()
  }
}
