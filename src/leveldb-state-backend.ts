/** Keyed state in LevelDB on local disk: any size of state, incremental checkpoints. */
import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  AbstractKeyedStateBackend,
  type KeyedStateBackendParts,
} from './abstract-keyed-state-backend.js'
import { GenerationPipeline } from './checkpoint/generation-pipeline.js'
import { DEFAULT_REBASE_POLICY, type RebasePolicy } from './checkpoint/rebase-policy.js'
import { SnapshotStrategy } from './checkpoint/snapshot-strategy.js'
import { systemClock, type Clock } from './common/clock.js'
import { StateBackendError } from './errors.js'
import { restoreTables, type RestoredTables } from './restore/restore-operation.js'
import { KeyContext } from './state/key-context.js'
import {
  checkKeyedStateBackendOptions,
  type KeyedStateBackendOptions,
  type StateBackend,
} from './state-backend.js'
import { LevelDBStore } from './store/leveldb-store.js'
import { MemoryBudget, type MemoryShare } from './store/memory-budget.js'
import { Sweeper } from './store/sweeper.js'
import { WorkDirectory } from './store/work-directory.js'
import { WriteBuffer } from './store/write-buffer.js'
import { writeManifest } from './table/manifest.js'

export interface LevelDBStateBackendOptions {
  /**
   * Scratch directory for databases and tables: local, missing or empty or left by an earlier run, and not shared with another
   * process. Nothing in it is needed after a crash.
   */
  readonly directory: string
  /** Memory of each keyed backend in bytes, or a budget that several share. Default 256 MiB each. */
  readonly memory?: number | MemoryBudget
  /** Compression of tables, local and in storage. Default `none`: reads are faster; `snappy` where storage or network is dear. */
  readonly compression?: 'none' | 'snappy'
  /** When checkpoints renew their base. */
  readonly rebasePolicy?: Partial<RebasePolicy>
  readonly clock?: Clock
}

export class LevelDBStateBackend implements StateBackend {
  readonly #options: LevelDBStateBackendOptions
  readonly #budget: MemoryBudget

  constructor(options: LevelDBStateBackendOptions) {
    this.#options = options
    const { memory } = options
    this.#budget = memory instanceof MemoryBudget ? memory : new MemoryBudget(memory)
  }

  async createKeyedStateBackend<K>(
    options: KeyedStateBackendOptions<K>,
  ): Promise<LevelDBKeyedStateBackend<K>> {
    checkKeyedStateBackendOptions(options)
    const workDirectory = WorkDirectory.acquire(this.#options.directory)
    let incarnationDirectory: string | undefined
    try {
      incarnationDirectory = workDirectory.createIncarnation(options.operatorId)
      const discard = removal(workDirectory, incarnationDirectory)
      return await this.#open(options, incarnationDirectory, discard)
    } catch (error) {
      removal(workDirectory, incarnationDirectory)()
      throw error
    }
  }

  async #open<K>(
    options: KeyedStateBackendOptions<K>,
    directory: string,
    discard: () => void,
  ): Promise<LevelDBKeyedStateBackend<K>> {
    const incarnation = randomUUID()
    const databaseDirectory = join(directory, 'db')
    const tableDirectory = join(directory, 'tables')
    mkdirSync(databaseDirectory)
    mkdirSync(tableDirectory)
    const { compression = 'none' } = this.#options
    const memory = this.#budget.share()
    const restored = await restoreTables({
      stateHandles: options.stateHandles ?? [],
      checkpointStorage: options.checkpointStorage,
      keyGroupRange: options.keyGroupRange,
      maxParallelism: options.maxParallelism,
      keyType: options.keySerializer.typeName,
      tableDirectory: databaseDirectory,
      deltaDirectory: tableDirectory,
      incarnation,
      signal: options.signal,
    })
    const lastSequence = restored.meta?.lastSequence ?? 0
    if (restored.meta !== undefined) {
      writeManifest(databaseDirectory, { lastSequence, files: [...restored.files] })
    }
    const store = await LevelDBStore.open({
      directory: databaseDirectory,
      memory,
      compression,
      lastSequence,
      restored: restored.meta !== undefined,
    })
    return new LevelDBKeyedStateBackend<K>({
      options,
      store,
      memory,
      compression,
      restored,
      incarnation,
      tableDirectory,
      policy: { ...DEFAULT_REBASE_POLICY, ...this.#options.rebasePolicy },
      clock: this.#options.clock ?? systemClock,
      discard,
    })
  }
}

function removal(workDirectory: WorkDirectory, directory: string | undefined): () => void {
  return () => {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
    workDirectory.release()
  }
}

interface OpenedStore<K> {
  readonly options: KeyedStateBackendOptions<K>
  readonly store: LevelDBStore
  readonly memory: MemoryShare
  readonly compression: 'none' | 'snappy'
  readonly restored: RestoredTables
  readonly incarnation: string
  readonly tableDirectory: string
  readonly policy: RebasePolicy
  readonly clock: Clock
  readonly discard: () => void
}

/** Made by `LevelDBStateBackend.createKeyedStateBackend`. */
export class LevelDBKeyedStateBackend<K> extends AbstractKeyedStateBackend<K> {
  /** @internal */
  constructor(opened: OpenedStore<K>) {
    super(assemble(opened))
  }
}

function assemble<K>(opened: OpenedStore<K>): KeyedStateBackendParts<K> {
  const { options, store, memory, restored, clock } = opened
  const { keySerializer, keyGroupRange, maxParallelism } = options
  const context = new KeyContext()
  const table = { compression: opened.compression }
  const buffer = new WriteBuffer({
    keySerializer,
    keyGroupRange,
    memory,
    load: (key) => store.get(key),
    onFull: (generation) => pipeline.submit(generation),
    checkOpen: () => {
      if (context.unusable !== undefined) throw context.unusable
    },
  })
  const strategy = new SnapshotStrategy({
    directory: opened.tableDirectory,
    incarnation: opened.incarnation,
    keyGroupRange,
    baseSource: store,
    policy: opened.policy,
    table,
    clock,
    randomId: randomUUID,
    chain: restored.chain,
  })
  const sweeper = new Sweeper(buffer, store, keyGroupRange, restored.meta !== undefined)
  const pipeline: GenerationPipeline = new GenerationPipeline({
    buffer,
    store,
    strategy,
    table,
    clock,
    lastSequence: store.lastSequence,
    onWritten: (generation) => sweeper.written(generation),
    onFailure: (error) => context.disable(asStateBackendError(error)),
  })
  return {
    keySerializer,
    maxParallelism,
    keyGroupRange,
    context,
    buffer,
    pipeline,
    strategy,
    clock,
    restoredStates: restored.meta?.states ?? [],
    lastEpoch: restored.meta?.lastEpoch ?? 0,
    openTable: (stateId, name, codec) => buffer.createTable(stateId, name, codec),
    scanStore: (gte, lt, limit) => store.scan(gte, lt, limit),
    release: async () => {
      await sweeper.close()
      await store.close()
      opened.discard()
    },
  }
}

function asStateBackendError(error: unknown): StateBackendError {
  if (error instanceof StateBackendError) return error
  return new StateBackendError(
    'STORE_FAILED',
    'State could not be written to local disk. Close this backend and restore from the last completed checkpoint.',
    { cause: error },
  )
}
