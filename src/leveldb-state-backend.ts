/** Keyed state in LevelDB on local disk: any size of state, incremental checkpoints. */
import { randomUUID } from 'node:crypto'
import {
  AbstractKeyedStateBackend,
  type KeyedStateBackendParts,
} from './abstract-keyed-state-backend.js'
import { GenerationPipeline } from './checkpoint/generation-pipeline.js'
import { SnapshotStrategy } from './checkpoint/snapshot-strategy.js'
import {
  asStateBackendError,
  settingsOf,
  withIncarnation,
  type CommonStateBackendOptions,
  type Incarnation,
  type Settings,
} from './keyed-backend-assembly.js'
import type { KeyedStateBackendOptions, StateBackend } from './state-backend.js'
import { KeyContext } from './state/key-context.js'
import { LevelDBStore } from './store/leveldb-store.js'
import { Sweeper } from './store/sweeper.js'
import { WriteBuffer } from './store/write-buffer.js'
import { writeManifest } from './table/manifest.js'

export interface LevelDBStateBackendOptions extends CommonStateBackendOptions {
  /**
   * Scratch directory for databases and tables: local, missing or empty or left by an earlier run, and not shared with another
   * process. Nothing in it is needed after a crash.
   */
  readonly directory: string
}

export class LevelDBStateBackend implements StateBackend {
  readonly #directory: string
  readonly #settings: Settings

  constructor(options: LevelDBStateBackendOptions) {
    this.#directory = options.directory
    this.#settings = settingsOf(options)
  }

  createKeyedStateBackend<K>(
    options: KeyedStateBackendOptions<K>,
  ): Promise<LevelDBKeyedStateBackend<K>> {
    return withIncarnation(this.#directory, options, async (incarnation) => {
      const store = await openStore(incarnation, this.#settings)
      return new LevelDBKeyedStateBackend(assemble(options, incarnation, store, this.#settings))
    })
  }
}

/** Made by `LevelDBStateBackend.createKeyedStateBackend`. */
export class LevelDBKeyedStateBackend<K> extends AbstractKeyedStateBackend<K> {}

function openStore(incarnation: Incarnation, settings: Settings): Promise<LevelDBStore> {
  const { databaseDirectory: directory, restored } = incarnation
  const lastSequence = restored.meta?.lastSequence ?? 0
  if (restored.meta !== undefined) {
    writeManifest(directory, { lastSequence, files: [...restored.files] })
  }
  return LevelDBStore.open({
    directory,
    memory: settings.budget.share(),
    compression: settings.compression,
    lastSequence,
    restored: restored.meta !== undefined,
  })
}

function assemble<K>(
  { keySerializer, keyGroupRange, maxParallelism }: KeyedStateBackendOptions<K>,
  incarnation: Incarnation,
  store: LevelDBStore,
  { budget, compression, policy, clock }: Settings,
): KeyedStateBackendParts<K> {
  const { restored } = incarnation
  const context = new KeyContext()
  const table = { compression }
  const buffer = new WriteBuffer({
    keySerializer,
    keyGroupRange,
    memory: budget.share(),
    load: (key) => store.get(key),
    onFull: (generation) => pipeline.submit(generation),
    checkOpen: () => context.checkUsable(),
  })
  const strategy = new SnapshotStrategy({
    directory: incarnation.tableDirectory,
    incarnation: incarnation.id,
    keyGroupRange,
    baseSource: store,
    policy,
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
      incarnation.discard()
    },
  }
}
