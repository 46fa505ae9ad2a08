/**
 * From handles to tables on local disk: picks the handles that concern the key-group range, checks that they fit, downloads their
 * tables, verified, into an empty directory.
 *
 * Invariants
 * R1 Every byte is checked against size and SHA-256 before anything reads it.
 * R2 After a failure the directory is the caller's to remove; nothing outside it was touched.
 */
import { Buffer } from 'node:buffer'
import { linkSync } from 'node:fs'
import { join } from 'node:path'
import { mapLimit } from '../common/concurrency.js'
import { StateBackendError } from '../errors.js'
import type {
  IncrementalRemoteKeyedStateHandle,
  TableHandle,
} from '../checkpoint/keyed-state-handle.js'
import {
  decodeMetaInformation,
  type BackendMetaInformation,
} from '../checkpoint/meta-information.js'
import { EMPTY_CHAIN, type ChainDelta, type SnapshotChain } from '../checkpoint/snapshot-chain.js'
import type { KeyGroupRange } from '../record/key-group-range.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import { tableFileName, type ManifestFile } from '../table/manifest.js'

/** Tables of one restore that are downloaded at a time. */
const DOWNLOADS_MAX = 8

export interface RestoreInput {
  readonly stateHandles: readonly IncrementalRemoteKeyedStateHandle[]
  readonly checkpointStorage: CheckpointStorage | undefined
  readonly keyGroupRange: KeyGroupRange
  readonly maxParallelism: number
  readonly keyType: string
  /** Empty; gets the tables as `NNNNNN.ldb`. */
  readonly tableDirectory: string
  /** Gets a second link to every delta, for later merges. */
  readonly deltaDirectory: string
  readonly incarnation: string
  readonly signal?: AbortSignal | undefined
}

export interface RestoredTables {
  readonly meta: BackendMetaInformation | undefined
  /** As a MANIFEST names them. In level 0 numbers ascend with sequences: `getSync` follows the number, iterators the sequence. */
  readonly files: readonly ManifestFile[]
  /** What the next checkpoint continues. */
  readonly chain: SnapshotChain
}

export async function restoreTables(input: RestoreInput): Promise<RestoredTables> {
  const handle = handleOf(input)
  if (handle === undefined) return { meta: undefined, files: [], chain: EMPTY_CHAIN }
  const storage = input.checkpointStorage
  if (storage === undefined) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      'State handles were given without checkpointStorage. Pass the CheckpointStorage that the checkpoint was written to.',
    )
  }
  const meta = decodeMetaInformation(await storage.readBytes(handle.metaState))
  checkFits(meta, input)
  const files = await mapLimit(
    handle.sharedState,
    DOWNLOADS_MAX,
    async (table, signal, index) => {
      const file = manifestFile(table, index + 1)
      await storage.download(table.state, join(input.tableDirectory, tableFileName(file.number)), {
        signal,
      })
      return file
    },
    input.signal,
  )
  return { meta, files, chain: restoredChain(handle, files, meta, input) }
}

/** The one handle to restore from. */
function handleOf(input: RestoreInput): IncrementalRemoteKeyedStateHandle | undefined {
  const { keyGroupRange, stateHandles } = input
  const handles = stateHandles.flatMap((handle) => handle.getIntersection(keyGroupRange) ?? [])
  const [handle] = handles
  const whole = stateHandles.find((candidate) => candidate.keyGroupRange.equals(keyGroupRange))
  if (handle === undefined || (handles.length === 1 && whole !== undefined)) return handle
  throw new StateBackendError(
    'RESTORE_MISMATCH',
    `The checkpoint has ${stateHandles.map((each) => each.keyGroupRange.toString()).join(', ')}, the task wants ` +
      `${keyGroupRange.toString()}. Restore with the parallelism the checkpoint was taken with.`,
    { details: { keyGroupRange: keyGroupRange.toString() } },
  )
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

function manifestFile(table: TableHandle, number: number): ManifestFile {
  return {
    level: table.level,
    number,
    sizeBytes: table.state.sizeBytes,
    smallest: Buffer.from(table.smallest, 'base64'),
    largest: Buffer.from(table.largest, 'base64'),
  }
}

function restoredChain(
  handle: IncrementalRemoteKeyedStateHandle,
  files: readonly ManifestFile[],
  meta: BackendMetaInformation,
  input: RestoreInput,
): SnapshotChain {
  const tables = handle.sharedState.flatMap((table, index) => {
    const file = files[index]
    return file === undefined
      ? []
      : [{ identity: `${input.incarnation}/${file.number}`, handle: table, file }]
  })
  const deltas: ChainDelta[] = []
  let throughSequence = 0
  for (const { identity, handle: table, file } of tables) {
    if (table.role !== 'delta') continue
    const path = join(input.deltaDirectory, `restored-${tableFileName(file.number)}`)
    linkSync(join(input.tableDirectory, tableFileName(file.number)), path)
    const fromSequence = throughSequence + 1
    throughSequence = table.largestSequence
    const { sizeBytes, smallest, largest } = file
    const range = { fromSequence, toSequence: table.largestSequence }
    const described = { path, sizeBytes, sha256: table.state.sha256, smallest, largest, ...range }
    const delta = { ...described, entryCount: 0, sketch: undefined }
    deltas.push({ identity, handle: table, delta })
  }
  return {
    checkpointId: handle.checkpointId,
    base: tables
      .filter(({ handle: table }) => table.role === 'base')
      .map(({ identity, handle: table }) => ({ identity, handle: table })),
    deltas,
    throughSequence: meta.lastSequence,
  }
}
