/**
 * The two other ways, with classic-level directly and as well as it can be used for them: tables are hard-linked, not copied; chunks are
 * read while the batch before is written; nothing is compressed, as with ours.
 */
import { Buffer } from 'node:buffer'
import { mkdirSync, linkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import type { IncrementalRemoteKeyedStateHandle, KeyGroupRange } from '../../src/index.js'
import { COMPOSITE_KEY_PREFIX_BYTES, keyGroupRangeBounds } from '../../src/record/composite-key.js'
import { MemoryBudget, memoryShareOf } from '../../src/store/memory-budget.js'
import { tableFileName, writeManifest } from '../../src/table/manifest.js'
import { Stopwatch, verifiedOf, type Measurement, type Restore } from './measurement.js'
import { ContentsCounter, KEY_BYTES, MAX_PARALLELISM, VALUE_BYTES } from './records.js'
import { MEMORY_BYTES, tableBytes, tablePath, type Sources } from './sources.js'

type Database = ClassicLevel<Buffer, Buffer>
type Handle = IncrementalRemoteKeyedStateHandle

/** Where the subtask's database is made, and the bytes of the tables it was made from. */
type Way = (sources: Sources, range: KeyGroupRange, directory: string) => Promise<Restored>

interface Restored {
  readonly database: Database
  readonly bytesFetched: number
}

/** About half a megabyte a batch: more or less makes it slower. */
const BATCH_ENTRIES = 2000
const BATCH_BYTES = 2 ** 20

export async function rescale(restore: Restore, way: Way): Promise<Measurement> {
  const { sources, verify } = restore
  const stopwatch = new Stopwatch()
  const counter = new ContentsCounter()
  let bytesFetched = 0
  for (const [index, range] of restore.ranges.entries()) {
    const directory = join(restore.workDirectory, `subtask-${index}`)
    mkdirSync(directory, { recursive: true })
    const { database, ...restored } = await stopwatch.time(async () => {
      const opened = await way(sources, range, directory)
      await opened.database.iterator({ limit: 1 }).all()
      return opened
    })
    bytesFetched += restored.bytesFetched
    if (verify !== 'none') {
      await count(database, verify === 'all' ? undefined : verifiedOf(range, verify), counter)
    }
    await database.close()
    rmSync(directory, { recursive: true })
  }
  return stopwatch.result(bytesFetched, verify === 'none' ? undefined : counter.contents)
}

/**
 * The way of Flink's default, with what LevelDB has: the source with the largest overlap becomes the database, as it is; what it has
 * outside the range is deleted, key by key, where Flink writes range tombstones; what the others have in the range is copied from
 * temporary databases.
 */
export const clearAndCopy: Way = async (sources, range, directory) => {
  const handles = overlapping(sources, range)
  const best = bestForInitial(handles, range)
  const database = await openLinked(sources, best, join(directory, 'db'))
  const { gte, lt } = keyGroupRangeBounds(range)
  const own = keyGroupRangeBounds(best.keyGroupRange)
  if (own.gte.compare(gte) < 0) await database.clear({ gte: own.gte, lt: gte })
  if (own.lt.compare(lt) > 0) await database.clear({ gte: lt, lt: own.lt })
  const others = handles.filter((handle) => handle !== best)
  await copyAll(sources, others, range, database, directory)
  return { database, bytesFetched: bytesOf(handles) }
}

/** Every entry is read and written again. */
export const rewrite: Way = async (sources, range, directory) => {
  const handles = overlapping(sources, range)
  const database = await openDatabase(join(directory, 'db'))
  await copyAll(sources, handles, range, database, directory)
  return { database, bytesFetched: bytesOf(handles) }
}

function overlapping({ handles }: Sources, range: KeyGroupRange): Handle[] {
  return handles.filter((handle) => handle.getIntersection(range) !== undefined)
}

function bytesOf(handles: readonly Handle[]): number {
  return handles.reduce((bytes, { sharedState }) => bytes + tableBytes(sharedState), 0)
}

/** The most key groups in the range; of two such, the one with fewer outside. */
function bestForInitial(handles: readonly Handle[], range: KeyGroupRange): Handle {
  const score = ({ keyGroupRange: own }: Handle): number => {
    const common = own.getIntersection(range).numberOfKeyGroups
    return common + common / own.numberOfKeyGroups / MAX_PARALLELISM
  }
  const [best] = handles.toSorted((a, b) => score(b) - score(a))
  if (best === undefined) throw new Error('no handle overlaps the range')
  return best
}

async function copyAll(
  sources: Sources,
  handles: readonly Handle[],
  range: KeyGroupRange,
  target: Database,
  directory: string,
): Promise<void> {
  for (const handle of handles) {
    const temporary = join(directory, 'temporary')
    const source = await openLinked(sources, handle, temporary)
    await copy(source, target, range)
    await source.close()
    rmSync(temporary, { recursive: true })
  }
}

async function copy(source: Database, target: Database, range: KeyGroupRange): Promise<void> {
  const options = { ...keyGroupRangeBounds(range), highWaterMarkBytes: BATCH_BYTES }
  const iterator = source.iterator({ ...options, fillCache: false })
  let entries = await iterator.nextv(BATCH_ENTRIES)
  while (entries.length > 0) {
    const batch = target.batch()
    for (const [key, value] of entries) batch.put(key, value)
    ;[entries] = await Promise.all([iterator.nextv(BATCH_ENTRIES), batch.write()])
  }
  await iterator.close()
}

/** The tables of a handle in a new directory, as a database. */
async function openLinked(sources: Sources, handle: Handle, directory: string): Promise<Database> {
  mkdirSync(directory)
  const files = handle.sharedState.map(({ state, level, smallest, largest }, index) => {
    const number = index + 1
    linkSync(tablePath(sources.directory, state), join(directory, tableFileName(number)))
    return {
      level,
      number,
      sizeBytes: state.sizeBytes,
      smallest: Buffer.from(smallest, 'base64'),
      largest: Buffer.from(largest, 'base64'),
    }
  })
  const sequences = handle.sharedState.map(({ largestSequence }) => largestSequence)
  writeManifest(directory, { lastSequence: Math.max(...sequences), files })
  return openDatabase(directory)
}

/** With the options our store opens its own with. */
async function openDatabase(directory: string): Promise<Database> {
  const { blockCacheBytes, memtableBytes } = memoryShareOf(new MemoryBudget(MEMORY_BYTES), 'none')
  const database = new ClassicLevel<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
    cacheSize: blockCacheBytes,
    writeBufferSize: memtableBytes,
    maxOpenFiles: 1000,
  })
  await database.open()
  return database
}

/** All there is, or all up to the end of `keyGroups`: nothing may be left of those before. */
async function count(
  database: Database,
  keyGroups: KeyGroupRange | undefined,
  counter: ContentsCounter,
): Promise<void> {
  const bounds = keyGroups === undefined ? {} : { lt: keyGroupRangeBounds(keyGroups).lt }
  const iterator = database.iterator({ ...bounds, highWaterMarkBytes: BATCH_BYTES })
  let entries = await iterator.nextv(BATCH_ENTRIES)
  while (entries.length > 0) {
    for (const [key, value] of entries) {
      const end = COMPOSITE_KEY_PREFIX_BYTES + KEY_BYTES
      counter.add(key.subarray(COMPOSITE_KEY_PREFIX_BYTES, end), value.subarray(-VALUE_BYTES))
    }
    entries = await iterator.nextv(BATCH_ENTRIES)
  }
  await iterator.close()
}
