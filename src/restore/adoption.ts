/**
 * One table of a handle becomes a local table: brought and verified, cut where it reaches beyond the range, and numbered.
 */
import { Buffer } from 'node:buffer'
import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../common/clock.js'
import { linkOrCopyAsync } from '../common/link-or-copy.js'
import { fileSystemError } from '../common/node-errors.js'
import { Slicer } from '../common/slicer.js'
import { mergeDeltas, type DeltaTable } from '../checkpoint/delta-table.js'
import type { TableHandle } from '../checkpoint/keyed-state-handle.js'
import type { ChainBase, ChainDelta, SnapshotChain } from '../checkpoint/snapshot-chain.js'
import { keyGroupOf, keyGroupRangeBounds } from '../record/composite-key.js'
import type { KeyGroupRange } from '../record/key-group-range.js'
import { userKeyOf } from '../table/internal-key.js'
import { tableFileName, type ManifestFile } from '../table/manifest.js'
import { clipTable } from '../table/table-clipper.js'
import type { StateDownloader } from './state-downloader.js'

/**
 * LevelDB opens with so many deltas in level 0 at once, and compacts them in the background; merging 59 deltas of 2 MB here took six
 * seconds more. As many as the default policy lets a chain have; those of a longer union are merged first, source by source.
 */
const ADOPTED_DELTAS_MAX = 100

export interface AdoptionInput {
  readonly tableDirectory: string
  readonly deltaDirectory: string
  readonly incarnation: string
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

/** A table in the table directory. */
export interface AdoptedTable {
  readonly file: ManifestFile
  /** A second link, for a table that may be read again: a delta, or what has to be uploaded. */
  readonly path: string
  readonly sha256: string
  readonly role: TableHandle['role']
  readonly largestSequence: number
  readonly identity: string
  /**
   * Where its bytes lie in storage; `undefined` when they do not, because the table was cut or merged here, and when a later checkpoint
   * may not name them there (C1).
   */
  readonly handle: TableHandle | undefined
  /** Tables of one source have one range. */
  readonly source: KeyGroupRange
}

/** `undefined` when the table has nothing in `range`. */
export async function fetchTable(
  table: TableHandle,
  range: KeyGroupRange,
  number: number,
  input: AdoptionInput & { readonly downloader: StateDownloader },
): Promise<AdoptedTable | undefined> {
  const target = join(input.tableDirectory, tableFileName(number))
  const path = join(input.deltaDirectory, `restored-${tableFileName(number)}`)
  const { state, level, role, largestSequence } = table
  const identity = `${input.incarnation}/${number}`
  const common = { path, role, largestSequence, identity, source: range }
  const smallest = Buffer.from(table.smallest, 'base64')
  const largest = Buffer.from(table.largest, 'base64')
  if (isWithin(smallest, largest, range)) {
    await input.downloader.bring(table, target, input.signal)
    const reusable = input.downloader.isReusable(state)
    if (role === 'delta' || !reusable) await linkAgain(target, path)
    const file = { level, number, sizeBytes: state.sizeBytes, smallest, largest }
    return { ...common, file, sha256: state.sha256, handle: reusable ? table : undefined }
  }
  const whole = `${path}.whole`
  await input.downloader.bring(table, whole, input.signal)
  const clipped = await clipTable(whole, target, keyGroupRangeBounds(range), {
    slicer: new Slicer(input.clock),
    signal: input.signal,
    // R1: its digest was compared on the way here.
    verifyChecksums: false,
  })
  rmSync(whole)
  if (clipped === undefined) return undefined
  await linkAgain(target, path)
  const { sizeBytes, sha256 } = clipped
  const file = { level, number, sizeBytes, smallest: clipped.smallest, largest: clipped.largest }
  return { ...common, file, sha256, handle: undefined }
}

async function linkAgain(from: string, to: string): Promise<void> {
  try {
    await linkOrCopyAsync(from, to)
  } catch (error) {
    throw fileSystemError(error, 'link a table to', to, 'STORE_FAILED')
  }
}

function isWithin(smallest: Buffer, largest: Buffer, range: KeyGroupRange): boolean {
  return (
    keyGroupOf(userKeyOf(smallest)) >= range.startKeyGroup &&
    keyGroupOf(userKeyOf(largest)) <= range.endKeyGroup
  )
}

/** The tables, with every source's deltas merged into one where there would be too many in level 0. */
export async function shortenedChain(
  tables: readonly AdoptedTable[],
  input: AdoptionInput,
): Promise<readonly AdoptedTable[]> {
  const adopted = tables.filter(({ role }) => role === 'delta')
  if (adopted.length <= ADOPTED_DELTAS_MAX) return tables
  const shortened: AdoptedTable[] = []
  for (const source of new Set(tables.map((table) => table.source))) {
    const own = tables.filter((table) => table.source === source)
    const deltas = own.filter(({ role }) => role === 'delta')
    shortened.push(...own.filter(({ role }) => role === 'base'))
    const [only, second] = deltas
    if (only === undefined) continue
    shortened.push(second === undefined ? only : await merged(deltas, only, input))
  }
  return shortened
}

/** All deltas of one source as one table, under the number of the first. */
async function merged(
  deltas: readonly AdoptedTable[],
  first: AdoptedTable,
  input: AdoptionInput,
): Promise<AdoptedTable> {
  const mergedPath = `${first.path}.merged`
  const table = await mergeDeltas(deltas.map(deltaOf), mergedPath, {
    slicer: new Slicer(input.clock),
    signal: input.signal ?? new AbortController().signal,
    table: {},
  })
  for (const { file, path } of deltas) {
    rmSync(path)
    rmSync(join(input.tableDirectory, tableFileName(file.number)))
  }
  renameSync(mergedPath, first.path)
  await linkAgain(first.path, join(input.tableDirectory, tableFileName(first.file.number)))
  const { sizeBytes, smallest, largest, sha256, toSequence } = table
  const file = { level: 0, number: first.file.number, sizeBytes, smallest, largest }
  return { ...first, file, sha256, largestSequence: toSequence, handle: undefined }
}

/** Nothing asks where a restored delta begins: what was restored is contiguous by itself. */
function deltaOf({ path, file, sha256, largestSequence }: AdoptedTable): DeltaTable {
  const { sizeBytes, smallest, largest } = file
  const range = { fromSequence: 1, toSequence: largestSequence }
  return { path, sizeBytes, sha256, smallest, largest, ...range, entryCount: 0, sketch: undefined }
}

/**
 * The adopted tables as the chain that the next checkpoint continues; what has no handle is uploaded by it. It has the id 0, below all
 * that this task will hear of: what was restored may have an id of another job, and no notice about an id of before can matter here.
 */
export function chainOf(tables: readonly AdoptedTable[], throughSequence: number): SnapshotChain {
  const base = tables.filter(({ role }) => role === 'base').map(chainBaseOf)
  const deltas = tables
    .filter(({ role }) => role === 'delta')
    .map((table): ChainDelta => {
      const { identity, handle } = table
      return { identity, handle, delta: deltaOf(table) }
    })
  return { checkpointId: 0, base, deltas, throughSequence }
}

function chainBaseOf(table: AdoptedTable): ChainBase {
  const { identity, handle, path, file, sha256, largestSequence } = table
  if (handle !== undefined) return { identity, handle }
  return {
    identity,
    path,
    sizeBytes: file.sizeBytes,
    sha256,
    table: {
      role: 'base',
      level: file.level,
      smallest: file.smallest.toString('base64'),
      largest: file.largest.toString('base64'),
      largestSequence,
    },
  }
}
