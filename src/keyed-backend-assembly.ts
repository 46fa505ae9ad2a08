/**
 * How a keyed state backend is put together: the local folders, the restore of tables, the wiring of the parts, and the undoing of all
 * of it when a step fails.
 */
import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { KeyedStateBackendParts } from './buffered-keyed-state-backend.js'
import { IncrementalRemoteKeyedStateHandle } from './checkpoint/keyed-state-handle.js'
import { GenerationPipeline } from './checkpoint/generation-pipeline.js'
import { rebasePolicyOf, type RebasePolicy } from './checkpoint/rebase-policy.js'
import { SnapshotStrategy, type BaseSource } from './checkpoint/snapshot-strategy.js'
import { systemClock, type Clock } from './common/clock.js'
import { makeFolder } from './common/make-folder.js'
import { fileSystemError } from './common/node-errors.js'
import { StateBackendError } from './errors.js'
import { restoreTables, type RestoredTables } from './restore/restore-operation.js'
import {
  checkKeyedStateBackendOptions,
  type CommonStateBackendOptions,
  type KeyedStateBackendOptions,
} from './state-backend.js'
import { KeyContext } from './state/key-context.js'
import { KeptBaseTables } from './store/kept-base-tables.js'
import type { CapturedTables, LevelDBStore } from './store/leveldb-store.js'
import { MemoryBudget, memoryShareOf } from './store/memory-budget.js'
import { WorkDirectory } from './store/work-directory.js'
import { WriteBuffer, type Generation } from './store/write-buffer.js'
import { tableFileName } from './table/manifest.js'

export interface Settings {
  readonly budget: MemoryBudget
  readonly compression: 'none' | 'snappy'
  readonly policy: RebasePolicy
  readonly localRecovery: boolean
  readonly clock: Clock
}

export function settingsOf(options: CommonStateBackendOptions): Settings {
  const {
    memory,
    compression = 'none',
    rebasePolicy,
    localRecovery = false,
    clock = systemClock,
  } = options
  return {
    budget: memory instanceof MemoryBudget ? memory : new MemoryBudget(memory),
    compression,
    policy: rebasePolicyOf(rebasePolicy),
    localRecovery,
    clock,
  }
}

/** One incarnation of a keyed backend on local disk: a folder of its own, and in it what was restored. */
export interface Incarnation {
  /** Unique and random: with a file number it names contents. */
  readonly id: string
  /** Holds the restored tables as `NNNNNN.ldb`, nothing else. */
  readonly databaseDirectory: string
  readonly tableDirectory: string
  readonly restored: RestoredTables
  /** Where base tables are kept for local recovery; `undefined` when they are not. */
  readonly keptBaseTables: KeptBaseTables | undefined
  /** To be called when a checkpoint of this incarnation is completed: from then on no other task needs what a dead one left. */
  readonly sweepLeftovers: () => void
  /** Removes the folder and releases the work directory. */
  readonly discard: () => void
}

/** Makes an incarnation and builds on it; when either fails, nothing of it is left. */
export async function withIncarnation<K, B>(
  directory: string,
  options: KeyedStateBackendOptions<K>,
  { clock, localRecovery }: Settings,
  build: (incarnation: Incarnation) => Promise<B>,
): Promise<B> {
  checkKeyedStateBackendOptions(options)
  const workDirectory = WorkDirectory.acquire(directory, clock)
  const { leftovers } = workDirectory
  let path: string | undefined
  const discard = (outcome?: 'failed'): void => {
    try {
      if (path !== undefined) rmSync(path, { recursive: true, force: true })
    } catch (error) {
      throw fileSystemError(error, 'remove the folder', path ?? directory, 'STORE_FAILED')
    } finally {
      workDirectory.release(outcome)
    }
  }
  try {
    path = workDirectory.createIncarnation(options.operatorId)
    const id = randomUUID()
    const databaseDirectory = join(path, 'db')
    const tableDirectory = join(path, 'tables')
    makeFolder(databaseDirectory)
    makeFolder(tableDirectory)
    const restored = await restoreTables({
      stateHandles: (options.stateHandles ?? []).map((handle) =>
        IncrementalRemoteKeyedStateHandle.fromJSON(handle),
      ),
      checkpointStorage: options.checkpointStorage,
      localTables: leftovers,
      keyGroupRange: options.keyGroupRange,
      maxParallelism: options.maxParallelism,
      keyType: options.keySerializer.typeName,
      tableDirectory: databaseDirectory,
      deltaDirectory: tableDirectory,
      incarnation: id,
      clock,
      signal: options.signal,
    })
    const keptBaseTables = localRecovery ? new KeptBaseTables(join(path, 'base')) : undefined
    // Before the database is opened, which may compact them away at once.
    await keptBaseTables?.add(
      restored.files.map(({ number }) => ({
        identity: `${id}/${number}`,
        path: join(databaseDirectory, tableFileName(number)),
      })),
    )
    return await build({
      id,
      databaseDirectory,
      tableDirectory,
      restored,
      keptBaseTables,
      sweepLeftovers: () => void leftovers.sweep(),
      discard: () => discard(),
    })
  } catch (error) {
    try {
      discard('failed')
    } catch {
      // The failure above is the one to report; what is left is swept by who takes the directory next.
    }
    throw error
  }
}

/** What lies below the write buffer: the difference between the two backends. */
export interface Foundation {
  /** `undefined` when the buffer's own cache is the store. */
  readonly store: LevelDBStore | undefined
  /** Called once, when the buffer exists. `lastSequence` is that of the last entry written. */
  readonly build: (buffer: WriteBuffer, lastSequence: () => number) => FoundationParts
}

export interface FoundationParts {
  readonly baseSource: BaseSource
  readonly onWritten: (generation: Generation) => void
  readonly openTable: KeyedStateBackendParts<unknown>['openTable']
  /** Closes what lies below; the incarnation is discarded afterwards. */
  readonly close: () => Promise<void>
}

/** Wires the parts of a keyed backend. */
export function assembleParts<K>(
  { keySerializer, keyGroupRange, maxParallelism, stateHandles = [] }: KeyedStateBackendOptions<K>,
  incarnation: Incarnation,
  { budget, compression, policy, clock }: Settings,
  { store, build }: Foundation,
): KeyedStateBackendParts<K> {
  const { restored, keptBaseTables } = incarnation
  const context = new KeyContext()
  const table = { compression }
  const buffer = new WriteBuffer({
    keySerializer,
    keyGroupRange,
    memory: memoryShareOf(budget, compression),
    resident: store === undefined,
    storeIsEmpty: restored.meta === undefined,
    load: (key) => store?.get(key),
    onFull: (generation) => pipeline.submit(generation, { held: false }),
    onWaiting: () => pipeline.release(),
    checkOpen: () => context.checkUsable(),
  })
  const below = build(buffer, () => pipeline.lastSequence)
  const strategy = new SnapshotStrategy({
    directory: incarnation.tableDirectory,
    incarnation: incarnation.id,
    keyGroupRange,
    baseSource: keepingSource(below.baseSource, incarnation),
    policy,
    table,
    clock,
    randomId: randomUUID,
    chain: restored.chain,
    onCompleted: () => incarnation.sweepLeftovers(),
    ...(keptBaseTables && { onSwept: (identities) => void keptBaseTables.retain(identities) }),
  })
  const pipeline: GenerationPipeline = new GenerationPipeline({
    buffer,
    store,
    strategy,
    table,
    clock,
    lastSequence: restored.meta?.lastSequence ?? 0,
    onWritten: below.onWritten,
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
    restored: restored.statistics,
    restoredCheckpointId: Math.max(0, ...stateHandles.map(({ checkpointId }) => checkpointId)),
    restoredStates: restored.meta?.states ?? [],
    lastEpoch: restored.meta?.lastEpoch ?? 0,
    openTable: below.openTable,
    scanStore: (gte, lt, limit) => store?.scan(gte, lt, limit) ?? Promise.resolve([]),
    release: async () => {
      await below.close()
      await keptBaseTables?.idle()
      incarnation.discard()
    },
  }
}

/** Has the captured tables kept, while they are uploaded: nobody waits for it. */
function keepingSource(source: BaseSource, { id, keptBaseTables }: Incarnation): BaseSource {
  if (keptBaseTables === undefined) return source
  const keep = (captured: CapturedTables | undefined): CapturedTables | undefined => {
    const tables = captured?.tables ?? []
    void keptBaseTables.add(
      tables.map(({ number, path }) => ({ identity: `${id}/${number}`, path })),
    )
    return captured
  }
  return {
    captureTables: (directory) => {
      const captured = source.captureTables(directory)
      return captured instanceof Promise ? captured.then(keep) : keep(captured)
    },
    previewCapture: () => source.previewCapture(),
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
