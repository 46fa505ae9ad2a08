/** Keyed state in LevelDB on local disk: any size of state, incremental checkpoints. */
import { BufferedKeyedStateBackend } from './buffered-keyed-state-backend.js'
import type { CheckpointableKeyedStateBackend } from './checkpoint/checkpointable-keyed-state-backend.js'
import {
  assembleParts,
  settingsOf,
  withIncarnation,
  type Foundation,
  type Incarnation,
  type Settings,
} from './keyed-backend-assembly.js'
import type { KeyGroupRange } from './record/key-group-range.js'
import type {
  CommonStateBackendOptions,
  KeyedStateBackendOptions,
  StateBackend,
} from './state-backend.js'
import { LevelDBStore } from './store/leveldb-store.js'
import { memoryShareOf } from './store/memory-budget.js'
import { Sweeper } from './store/sweeper.js'
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
  ): Promise<CheckpointableKeyedStateBackend<K>> {
    return withIncarnation(this.#directory, options, this.#settings, async (incarnation) => {
      const store = await openStore(incarnation, this.#settings)
      const restored = incarnation.restored.meta !== undefined
      const below = foundation(store, options.keyGroupRange, restored)
      return new BufferedKeyedStateBackend(
        assembleParts(options, incarnation, this.#settings, below),
      )
    })
  }
}

function openStore(incarnation: Incarnation, settings: Settings): Promise<LevelDBStore> {
  const { databaseDirectory: directory, restored } = incarnation
  const lastSequence = restored.meta?.lastSequence ?? 0
  if (restored.meta !== undefined) {
    writeManifest(directory, { lastSequence, files: [...restored.files] })
  }
  return LevelDBStore.open({
    directory,
    memory: memoryShareOf(settings.budget, settings.compression),
    compression: settings.compression,
    lastSequence,
    restored: restored.meta !== undefined,
  })
}

function foundation(
  store: LevelDBStore,
  keyGroupRange: KeyGroupRange,
  restored: boolean,
): Foundation {
  return {
    store,
    build: (buffer) => {
      const sweeper = new Sweeper(buffer, store, keyGroupRange, restored)
      return {
        baseSource: store,
        onWritten: (generation) => sweeper.written(generation),
        openTable: (stateId, name, codec) => buffer.createTable(stateId, name, codec),
        close: async () => {
          await sweeper.close()
          await store.close()
        },
      }
    },
  }
}
