/**
 * The asynchronous part of a snapshot: merge what is to be merged, upload what is not in storage, make the handle.
 *
 * Invariants
 * U1 (C2) A table is named only after its bytes are durable, with the SHA-256 of those bytes.
 * U2 After a failure or an abort nothing that was uploaded here stays in storage, unless storage refuses to remove it.
 */
import type { Slicer } from '../common/slicer.js'
import { mapLimit, throwIfAborted } from '../common/concurrency.js'
import type { KeyGroupRange } from '../record/key-group-range.js'
import {
  CheckpointedStateScope,
  type CheckpointStreamFactory,
  type CheckpointStreamWriteOptions,
  type StreamStateHandle,
} from '../storage/checkpoint-storage.js'
import { bodyOfBytes, bodyOfFile, type ObjectBody } from '../storage/object-store.js'
import type { TableWriterOptions } from '../table/table-writer.js'
import { mergeDeltas, type DeltaTable } from './delta-table.js'
import { IncrementalRemoteKeyedStateHandle, type TableHandle } from './keyed-state-handle.js'
import type { ChainBase, ChainDelta, SnapshotChain, SnapshotPlan } from './snapshot-chain.js'

/** Uploads of one snapshot in flight. */
const UPLOADS_MAX = 4

export interface SnapshotUploadInput {
  readonly plan: SnapshotPlan
  readonly meta: Buffer
  readonly checkpointId: number
  readonly streamFactory: CheckpointStreamFactory
  /** Exclusive for a savepoint, which shares nothing. */
  readonly tableScope: CheckpointedStateScope
  readonly backendIdentifier: string
  readonly stateHandleId: string
  readonly keyGroupRange: KeyGroupRange
  /** A new local file for a merged delta. */
  readonly mergedPath: string
  readonly slicer: Slicer
  readonly table: TableWriterOptions
  readonly signal: AbortSignal
}

export interface SnapshotUpload {
  readonly chain: SnapshotChain
  readonly handle: IncrementalRemoteKeyedStateHandle
}

export async function uploadSnapshot(input: SnapshotUploadInput): Promise<SnapshotUpload> {
  const deltas = await mergedDeltas(input)
  const written: StreamStateHandle[] = []
  const write: Write = async (scope, body, options) => {
    const state = await input.streamFactory.write(scope, body, options)
    written.push(state)
    return state
  }
  try {
    const tables = await mapLimit(
      [...input.plan.base, ...deltas],
      UPLOADS_MAX,
      (table, signal) => uploadTable(table, input, write, signal),
      input.signal,
    )
    const metaState = await write(CheckpointedStateScope.Exclusive, bodyOfBytes(input.meta), {
      signal: input.signal,
    })
    throwIfAborted(input.signal)
    return result(input, tables, metaState, sizeOf(written))
  } catch (error) {
    // The failure above is the one to report; what cannot be removed now is under names that nothing refers to.
    await input.streamFactory.discard(written).catch(() => undefined)
    throw error
  }
}

type InStorage = (ChainBase | ChainDelta) & { readonly handle: TableHandle }

type Write = (
  scope: CheckpointedStateScope,
  body: ObjectBody,
  options: CheckpointStreamWriteOptions,
) => Promise<StreamStateHandle>

async function mergedDeltas(input: SnapshotUploadInput): Promise<readonly ChainDelta[]> {
  const { merge, deltas } = input.plan
  if (merge === undefined) return deltas
  const delta = await mergeDeltas(
    deltas.slice(merge.from, merge.to).map((planned) => planned.delta),
    input.mergedPath,
    input,
  )
  return deltas.toSpliced(merge.from, merge.to - merge.from, { delta, handle: undefined })
}

async function uploadTable(
  table: ChainBase | ChainDelta,
  { tableScope }: SnapshotUploadInput,
  write: Write,
  signal: AbortSignal,
): Promise<InStorage> {
  if ('delta' in table) {
    const { delta, handle } = table
    if (handle !== undefined) return { ...table, handle }
    const body = bodyOfFile(delta.path, delta.sizeBytes)
    const options = { name: 'ldb', expectedSha256: delta.sha256, signal }
    return { delta, handle: deltaHandle(delta, await write(tableScope, body, options)) }
  }
  const { identity } = table
  if (table.handle !== undefined) return { identity, handle: table.handle }
  const body = bodyOfFile(table.path, table.sizeBytes)
  const options = { name: 'ldb', expectedSha256: table.sha256, signal }
  const state = await write(tableScope, body, options)
  return { identity, handle: { ...table.table, state } }
}

function deltaHandle(delta: DeltaTable, state: StreamStateHandle): TableHandle {
  return {
    role: 'delta',
    level: 0,
    state,
    smallest: delta.smallest.toString('base64'),
    largest: delta.largest.toString('base64'),
    largestSequence: delta.toSequence,
  }
}

function result(
  input: SnapshotUploadInput,
  tables: readonly InStorage[],
  metaState: StreamStateHandle,
  checkpointedSize: number,
): SnapshotUpload {
  const base = tables.slice(0, input.plan.base.length) as ChainBase[]
  const deltas = tables.slice(input.plan.base.length) as ChainDelta[]
  const { checkpointId, backendIdentifier, stateHandleId, keyGroupRange } = input
  return {
    chain: { checkpointId, base, deltas, throughSequence: input.plan.throughSequence },
    handle: new IncrementalRemoteKeyedStateHandle({
      backendIdentifier,
      stateHandleId,
      checkpointId,
      keyGroupRange,
      sharedState: tables.map((table) => table.handle),
      metaState,
      checkpointedSize,
    }),
  }
}

function sizeOf(states: readonly StreamStateHandle[]): number {
  return states.reduce((bytes, state) => bytes + state.sizeBytes, 0)
}
