/**
 * Keyed state in memory: for state that fits, without a database. Snapshots are the same tables, so a checkpoint of either backend
 * restores into either.
 */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AbstractKeyedStateBackend,
  type KeyedStateBackendParts,
} from './abstract-keyed-state-backend.js'
import { GenerationPipeline } from './checkpoint/generation-pipeline.js'
import { SnapshotStrategy } from './checkpoint/snapshot-strategy.js'
import { Slicer } from './common/slicer.js'
import {
  asStateBackendError,
  settingsOf,
  withIncarnation,
  type CommonStateBackendOptions,
  type Incarnation,
  type Settings,
} from './keyed-backend-assembly.js'
import { loadResident } from './restore/resident-restore.js'
import type { KeyedStateBackendOptions, StateBackend } from './state-backend.js'
import { KeyContext } from './state/key-context.js'
import { adoptCells } from './state/raw-cell-codec.js'
import { ResidentTables } from './store/resident-tables.js'
import { WriteBuffer } from './store/write-buffer.js'
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
      return await withIncarnation(scratch, options, async (incarnation) =>
        build(options, incarnation, this.#settings, removeScratch),
      )
    } catch (error) {
      removeScratch()
      throw error
    }
  }
}

/** Made by `HashMapStateBackend.createKeyedStateBackend`. */
export class HeapKeyedStateBackend<K> extends AbstractKeyedStateBackend<K> {}

async function build<K>(
  options: KeyedStateBackendOptions<K>,
  incarnation: Incarnation,
  settings: Settings,
  removeScratch: () => void,
): Promise<HeapKeyedStateBackend<K>> {
  const parts = assemble(options, incarnation, settings, removeScratch)
  const { databaseDirectory, restored } = incarnation
  const paths = restored.files.map((file) => join(databaseDirectory, tableFileName(file.number)))
  await loadResident(paths, restored.meta?.states ?? [], parts.buffer, new Slicer(settings.clock))
  rmSync(databaseDirectory, { recursive: true, force: true })
  return new HeapKeyedStateBackend(parts)
}

function assemble<K>(
  { keySerializer, keyGroupRange, maxParallelism }: KeyedStateBackendOptions<K>,
  incarnation: Incarnation,
  { budget, compression, policy, clock }: Settings,
  removeScratch: () => void,
): KeyedStateBackendParts<K> {
  const { restored } = incarnation
  const context = new KeyContext()
  const table = { compression }
  const buffer = new WriteBuffer({
    keySerializer,
    keyGroupRange,
    memory: budget.share(),
    resident: true,
    load: () => undefined,
    onFull: (generation) => pipeline.submit(generation),
    checkOpen: () => context.checkUsable(),
  })
  const strategy = new SnapshotStrategy({
    directory: incarnation.tableDirectory,
    incarnation: incarnation.id,
    keyGroupRange,
    baseSource: new ResidentTables({
      buffer,
      slicer: new Slicer(clock),
      table,
      lastSequence: () => pipeline.lastSequence,
      firstNumber: restored.files.length + 1,
    }),
    policy,
    table,
    clock,
    randomId: randomUUID,
    chain: restored.chain,
  })
  const pipeline: GenerationPipeline = new GenerationPipeline({
    buffer,
    store: undefined,
    strategy,
    table,
    clock,
    lastSequence: restored.meta?.lastSequence ?? 0,
    onWritten: () => undefined,
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
    openTable: (stateId, name, codec) => {
      const restoredTable = buffer.tables.get(stateId)
      if (restoredTable === undefined) return buffer.createTable(stateId, name, codec)
      adoptCells(restoredTable, codec)
      return restoredTable
    },
    scanStore: () => Promise.resolve([]),
    release: () => {
      incarnation.discard()
      removeScratch()
      return Promise.resolve()
    },
  }
}
