/**
 * Keyed state in memory: for state that fits, without a database. Snapshots are the same tables, so a checkpoint of either backend
 * restores into either.
 */
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BufferedKeyedStateBackend } from './buffered-keyed-state-backend.js'
import type { CheckpointableKeyedStateBackend } from './checkpoint/checkpointable-keyed-state-backend.js'
import { BACKGROUND_SLICE_MS, Slicer } from './common/slicer.js'
import {
  assembleParts,
  settingsOf,
  withIncarnation,
  type Foundation,
  type Incarnation,
  type Settings,
} from './keyed-backend-assembly.js'
import { loadResident } from './restore/resident-restore.js'
import type {
  CommonStateBackendOptions,
  KeyedStateBackendOptions,
  StateBackend,
} from './state-backend.js'
import { adoptCells } from './state/raw-cell-codec.js'
import { ResidentTables } from './store/resident-tables.js'
import {
  makeScratchDirectory,
  removeScratchDirectory,
  sweepScratchDirectories,
} from './store/scratch-directory.js'
import { tableFileName } from './table/manifest.js'

/** `memory` bounds the write buffer, not the state. */
export interface HashMapStateBackendOptions extends CommonStateBackendOptions {
  /**
   * Scratch directory for tables on their way to storage; nothing is read from it while the backend runs. As that of
   * `LevelDBStateBackend`. Default: each backend makes one of its own where the system keeps temporary files, and removes those that
   * killed processes of the same user left there. A directory that stays the same lets a restore after a crash find its tables.
   */
  readonly directory?: string | undefined
}

export class HashMapStateBackend implements StateBackend {
  readonly #directory: string | undefined
  readonly #settings: Settings
  #sweptScratch = false

  constructor(options: HashMapStateBackendOptions = {}) {
    this.#directory = options.directory
    this.#settings = settingsOf(options)
  }

  async createKeyedStateBackend<K>(
    options: KeyedStateBackendOptions<K>,
  ): Promise<CheckpointableKeyedStateBackend<K>> {
    if (this.#directory !== undefined) return this.#create(this.#directory, options)
    const parent = tmpdir()
    if (!this.#sweptScratch) sweepScratchDirectories(parent)
    this.#sweptScratch = true
    const scratch = makeScratchDirectory(parent)
    const remove = (): void => removeScratchDirectory(scratch)
    try {
      return await this.#create(scratch, options, remove)
    } catch (error) {
      remove()
      throw error
    }
  }

  #create<K>(
    directory: string,
    options: KeyedStateBackendOptions<K>,
    discarded?: () => void,
  ): Promise<CheckpointableKeyedStateBackend<K>> {
    return withIncarnation(directory, options, this.#settings, (incarnation) => {
      const discard = (): void => {
        incarnation.discard()
        discarded?.()
      }
      return build(options, { ...incarnation, discard }, this.#settings)
    })
  }
}

async function build<K>(
  options: KeyedStateBackendOptions<K>,
  incarnation: Incarnation,
  settings: Settings,
): Promise<CheckpointableKeyedStateBackend<K>> {
  const { databaseDirectory, restored } = incarnation
  // Numbers of tables that a clip left empty are missing among the files.
  const firstNumber = 1 + restored.files.reduce((most, { number }) => Math.max(most, number), 0)
  const below = foundation(firstNumber, settings)
  const parts = assembleParts(options, incarnation, settings, below)
  const paths = restored.files.map((file) => join(databaseDirectory, tableFileName(file.number)))
  await loadResident(paths, restored.meta?.states ?? [], parts.buffer, new Slicer(settings.clock))
  rmSync(databaseDirectory, { recursive: true, force: true })
  return new BufferedKeyedStateBackend(parts)
}

function foundation(firstNumber: number, settings: Settings): Foundation {
  return {
    store: undefined,
    build: (buffer, lastSequence) => ({
      baseSource: new ResidentTables({
        buffer,
        slicer: new Slicer(settings.clock, BACKGROUND_SLICE_MS),
        table: { compression: settings.compression },
        lastSequence,
        firstNumber,
      }),
      onWritten: () => undefined,
      openTable: (stateId, name, codec) => {
        const restored = buffer.tables.get(stateId)
        if (restored === undefined) return buffer.createTable(stateId, name, codec)
        adoptCells(restored, codec)
        return restored
      },
      close: () => Promise.resolve(),
    }),
  }
}
