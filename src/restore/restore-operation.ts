/**
 * From handles to tables on local disk: clips the handles to the key-group range, checks that they fit, fetches their tables, and says
 * under which numbers and levels a store adopts them. Works for the range the state had and for any other.
 *
 * Invariants
 * R1 Every byte is checked against size and SHA-256 before anything reads it.
 * R2 No table that is adopted holds a key outside the range; so a later merge of ranges cannot bring back a stale value or a tombstone.
 * R3 In level 0 the numbers of one source's tables ascend with their sequences: `getSync` follows the number, iterators and compactions
 *    follow the sequence. Sources have disjoint ranges, so between them no order is needed.
 * R4 After a failure the directories are the caller's to remove; nothing outside them was touched.
 */
import { mapLimit, throwIfAborted } from '../common/concurrency.js'
import type { Clock } from '../common/clock.js'
import { StateBackendError } from '../errors.js'
import type { RestoreStatistics } from '../checkpoint/checkpointable-keyed-state-backend.js'
import type { IncrementalRemoteKeyedStateHandle } from '../checkpoint/keyed-state-handle.js'
import {
  decodeMetaInformation,
  uniteMetaInformation,
  type BackendMetaInformation,
} from '../checkpoint/meta-information.js'
import { EMPTY_CHAIN, type SnapshotChain } from '../checkpoint/snapshot-chain.js'
import type { KeyGroupRange } from '../record/key-group-range.js'
import type { CheckpointStateReader } from '../storage/checkpoint-state-reader.js'
import type { ManifestFile } from '../table/manifest.js'
import { chainOf, fetchTable, shortenedChain, type AdoptedTable } from './adoption.js'
import { StateDownloader, type LocalTables } from './state-downloader.js'

/** Tables of one restore that are fetched at a time. */
const FETCHES_MAX = 8

export interface RestoreInput {
  readonly stateHandles: readonly IncrementalRemoteKeyedStateHandle[]
  readonly checkpointStorage: CheckpointStateReader | undefined
  /** Tables that need not be fetched. */
  readonly localTables?: LocalTables | undefined
  readonly keyGroupRange: KeyGroupRange
  readonly maxParallelism: number
  readonly keyType: string
  /** Empty; gets the tables as `NNNNNN.ldb`, and nothing else. */
  readonly tableDirectory: string
  /** Empty; gets a second link to every table that may be read again: deltas, and what has to be uploaded. */
  readonly deltaDirectory: string
  readonly incarnation: string
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

export interface RestoredTables {
  /** `undefined` when nothing was restored. */
  readonly meta: BackendMetaInformation | undefined
  /** As a MANIFEST names them. */
  readonly files: readonly ManifestFile[]
  /** What the next checkpoint continues. */
  readonly chain: SnapshotChain
  readonly statistics: RestoreStatistics
}

const NOTHING_RESTORED: RestoredTables = {
  meta: undefined,
  files: [],
  chain: EMPTY_CHAIN,
  statistics: { linkedTables: 0, linkedBytes: 0, fetchedTables: 0, fetchedBytes: 0 },
}

export async function restoreTables(input: RestoreInput): Promise<RestoredTables> {
  const { keyGroupRange, stateHandles, signal } = input
  const handles = stateHandles.flatMap((handle) => handle.getIntersection(keyGroupRange) ?? [])
  if (handles.length === 0) return NOTHING_RESTORED
  checkDisjoint(handles)
  const storage = input.checkpointStorage
  if (storage === undefined) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      'State handles were given without checkpointStorage. Pass the CheckpointStorage that the checkpoint was written to.',
    )
  }
  const metas = await mapLimit(
    handles,
    FETCHES_MAX,
    async (handle, reading) => {
      const bytes = await storage.readBytes(handle.metaState, { signal: reading })
      const meta = decodeMetaInformation(bytes)
      checkFits(meta, input)
      return meta
    },
    signal,
  )
  const meta = uniteMetaInformation(metas)
  const downloader = new StateDownloader(storage, input.localTables)
  const fetched = await mapLimit(
    handles.flatMap((handle) => handle.sharedState.map((table) => ({ handle, table }))),
    FETCHES_MAX,
    ({ handle, table }, fetching, index) =>
      fetchTable(table, handle.keyGroupRange, index + 1, {
        ...input,
        downloader,
        signal: fetching,
      }),
    signal,
  )
  throwIfAborted(signal)
  const tables = await shortenedChain(
    fetched.filter((table): table is AdoptedTable => table !== undefined),
    input,
  )
  return {
    meta,
    files: tables.map(({ file }) => file),
    chain: chainOf(tables, meta.lastSequence),
    statistics: downloader.statistics,
  }
}

/** Two handles of one key group are of two attempts or two checkpoints: their union would be neither. */
function checkDisjoint(handles: readonly IncrementalRemoteKeyedStateHandle[]): void {
  const ranges = handles
    .map((handle) => handle.keyGroupRange)
    .sort((a, b) => a.startKeyGroup - b.startKeyGroup)
  for (const [index, range] of ranges.entries()) {
    const before = ranges[index - 1]
    if (before === undefined || before.endKeyGroup < range.startKeyGroup) continue
    throw new StateBackendError(
      'RESTORE_MISMATCH',
      `Two state handles have key groups in common: ${before.toString()} and ${range.toString()}. Pass the handles of one checkpoint, ` +
        'each once.',
      { details: { first: before.toString(), second: range.toString() } },
    )
  }
}

function checkFits(meta: BackendMetaInformation, input: RestoreInput): void {
  if (meta.maxParallelism !== input.maxParallelism) {
    throw new StateBackendError(
      'RESTORE_MISMATCH',
      `The checkpoint was taken with maximum parallelism ${meta.maxParallelism}, the backend has ${input.maxParallelism}. It decides ` +
        'which key group a key belongs to, so it can never change: create the backend with the old one.',
      { details: { checkpoint: meta.maxParallelism, backend: input.maxParallelism } },
    )
  }
  if (meta.keyType !== input.keyType) {
    throw new StateBackendError(
      'RESTORE_MISMATCH',
      `The checkpoint has keys of type ${meta.keyType}, the backend has ${input.keyType}. The same key has other bytes in another type: ` +
        'create the backend with the old key serializer.',
      { details: { checkpoint: meta.keyType, backend: input.keyType } },
    )
  }
}
