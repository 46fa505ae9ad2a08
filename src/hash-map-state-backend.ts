/**
 * Keyed state in memory: for state that fits, without a database. Snapshots are the same tables, so a checkpoint of either backend
 * restores into either.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AbstractKeyedStateBackend } from './abstract-keyed-state-backend.js'
import { Slicer } from './common/slicer.js'
import {
  assembleParts,
  settingsOf,
  withIncarnation,
  type CommonStateBackendOptions,
  type Foundation,
  type Incarnation,
  type Settings,
} from './keyed-backend-assembly.js'
import { loadResident } from './restore/resident-restore.js'
import type { KeyedStateBackendOptions, StateBackend } from './state-backend.js'
import { adoptCells } from './state/raw-cell-codec.js'
import { ResidentTables } from './store/resident-tables.js'
import { tableFileName } from './table/manifest.js'

/** `memory` bounds the write buffer, not the state. */
export type HashMapStateBackendOptions = CommonStateBackendOptions

export class HashMapStateBackend implements StateBackend {
  readonly #settings: Settings

  constructor(options: HashMapStateBackendOptions = {}) {
    this.#settings = settingsOf(options)
  }

  async createKeyedStateBackend<K>(
    options: KeyedStateBackendOptions<K>,
  ): Promise<HeapKeyedStateBackend<K>> {
    // Tables on their way to storage; nothing is read from here while the backend runs.
    const scratch = mkdtempSync(join(tmpdir(), 'level-state-backend-'))
    const removeScratch = (): void => rmSync(scratch, { recursive: true, force: true })
    try {
      return await withIncarnation(scratch, options, this.#settings, (incarnation) =>
        build(
          options,
          { ...incarnation, discard: both(incarnation.discard, removeScratch) },
          this.#settings,
        ),
      )
    } catch (error) {
      removeScratch()
      throw error
    }
  }
}

/** Made by `HashMapStateBackend.createKeyedStateBackend`. */
export class HeapKeyedStateBackend<K> extends AbstractKeyedStateBackend<K> {}

function both(first: () => void, second: () => void): () => void {
  return () => {
    first()
    second()
  }
}

async function build<K>(
  options: KeyedStateBackendOptions<K>,
  incarnation: Incarnation,
  settings: Settings,
): Promise<HeapKeyedStateBackend<K>> {
  const { databaseDirectory, restored } = incarnation
  // Numbers of tables that a clip left empty are missing among the files.
  const firstNumber = 1 + restored.files.reduce((most, { number }) => Math.max(most, number), 0)
  const below = foundation(firstNumber, settings)
  const parts = assembleParts(options, incarnation, settings, below)
  const paths = restored.files.map((file) => join(databaseDirectory, tableFileName(file.number)))
  await loadResident(paths, restored.meta?.states ?? [], parts.buffer, new Slicer(settings.clock))
  rmSync(databaseDirectory, { recursive: true, force: true })
  return new HeapKeyedStateBackend(parts)
}

function foundation(firstNumber: number, settings: Settings): Foundation {
  return {
    store: undefined,
    build: (buffer, lastSequence) => ({
      baseSource: new ResidentTables({
        buffer,
        slicer: new Slicer(settings.clock),
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
