/**
 * The LevelDB store: the only file that imports classic-level, and so the only one that can break the rules that keep LevelDB 1.20
 * honest. Each is held by an assertion here and by a test named after it.
 *
 * S1 At most one write batch is in flight (two may be applied out of order by the thread pool).
 * S2 No iterator is open while a batch is in flight or across a flush, which only a batch can cause: scans read one chunk, close, and
 *    seek again after the last key; chunks and batches take turns. No explicit snapshot or asynchronous point read exists at all. This
 *    makes LevelDB's stale-read bug (#320) impossible.
 * S3 Point reads are `getSync` with the encodings set on the database, never per call (an options object doubles their cost).
 * S4 A database is opened once per process, in a directory of our own making: empty, or prepared by a restore. LOCK is never touched.
 * S5 The directory is scratch: nothing is taken out of it but tables that the MANIFEST names, and nothing is trusted after a crash.
 * S6 A failed batch is final: every later call throws the same error, and what waits for its turn is not tried. LevelDB's own error is
 *    sticky for tables only; after a failed append to its log it would take the next batch.
 */
import type { Buffer } from 'node:buffer'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ClassicLevel, type ChainedBatch } from 'classic-level'
import { assert } from '../common/assert.js'
import { linkOrCopy } from '../common/link-or-copy.js'
import { makeFolder } from '../common/make-folder.js'
import { errnoOf } from '../common/node-errors.js'
import { SerialQueue } from '../common/serial-queue.js'
import { StateBackendError } from '../errors.js'
import { bloomHash } from '../table/bloom-filter.js'
import {
  logFileName,
  readManifest,
  tableFileName,
  type ManifestFile,
  type ManifestState,
} from '../table/manifest.js'
import { firstBatchHeader } from '../table/write-batch.js'
import { BatchStarts } from './batch-starts.js'
import { KeyFilter } from './key-filter.js'
import type { MemoryShare } from './memory-budget.js'
import { storeError } from './store-error.js'

/** LevelDB's own upper limit of table files it keeps mapped per process. */
const MAX_OPEN_FILES = 1000

/** A compaction may remove a file between the reading of the MANIFEST and the linking of its files; so often we start again. */
const CAPTURE_ATTEMPTS_MAX = 16

export interface LevelDBStoreOptions {
  /** Existing; empty, or prepared by a restore. */
  readonly directory: string
  readonly memory: MemoryShare
  readonly compression: 'none' | 'snappy'
  /** The last sequence of the tables in the directory; 0 for an empty one. */
  readonly lastSequence: number
  /** Whether a restore prepared the directory. */
  readonly restored: boolean
}

/** A table of LevelDB's own, hard-linked (or copied) out of the live database. */
export interface CapturedTable extends ManifestFile {
  readonly path: string
}

export interface CapturedTables {
  readonly tables: readonly CapturedTable[]
  /** Everything with a sequence up to this one is in `tables`; what is above is in LevelDB's log only. */
  readonly coveredSequence: number
}

/** What a capture would give. */
export interface CapturePreview {
  readonly tables: readonly { readonly number: number; readonly sizeBytes: number }[]
  /** As that of `CapturedTables`. */
  readonly coveredSequence: number
}

/** Writes to be committed together. What is given to it is copied at once. */
export class StoreBatch {
  readonly #batch: ChainedBatch<ClassicLevel<Buffer, Buffer>, Buffer, Buffer>
  readonly #keys: KeyFilter | undefined

  /** For `LevelDBStore`. */
  constructor(
    batch: ChainedBatch<ClassicLevel<Buffer, Buffer>, Buffer, Buffer>,
    keys: KeyFilter | undefined,
  ) {
    this.#batch = batch
    this.#keys = keys
  }

  get length(): number {
    return this.#batch.length
  }

  put(key: Buffer, value: Buffer): void {
    this.#keys?.add(bloomHash(key))
    this.#batch.put(key, value)
  }

  del(key: Buffer): void {
    this.#batch.del(key)
  }

  /** For `LevelDBStore`. */
  write(): Promise<void> {
    return this.#batch.write()
  }
}

/** Directories that hold an open database of this process (S4). */
const openDirectories = new Set<string>()

export class LevelDBStore {
  readonly directory: string
  readonly #db: ClassicLevel<Buffer, Buffer>
  #lastSequence: number
  readonly #batchStarts = new BatchStarts()
  /** Of all keys that were ever put; `undefined` when it is not known which there are, or when they are too many. */
  #keys: KeyFilter | undefined
  /** Batches and scans take turns (S2). */
  readonly #turns = new SerialQueue()
  #batchesInFlight = 0
  #openIterators = 0
  #failure: StateBackendError | undefined
  #closing: Promise<void> | undefined

  private constructor(db: ClassicLevel<Buffer, Buffer>, options: LevelDBStoreOptions) {
    this.#db = db
    this.directory = options.directory
    this.#lastSequence = options.lastSequence
    if (!options.restored) this.#keys = new KeyFilter(options.memory.keyFilterBytes)
  }

  static async open(options: LevelDBStoreOptions): Promise<LevelDBStore> {
    const { directory, memory } = options
    assert(!openDirectories.has(directory), 'S4: a database is opened once per process', {
      directory,
    })
    assert(
      options.restored || readdirSync(directory).length === 0,
      'S4: a database is opened in an empty directory, or in one prepared by a restore',
      { directory },
    )
    openDirectories.add(directory)
    const db = new ClassicLevel<Buffer, Buffer>(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      compression: options.compression === 'snappy',
      cacheSize: memory.blockCacheBytes,
      writeBufferSize: memory.memtableBytes,
      maxOpenFiles: MAX_OPEN_FILES,
    })
    try {
      await db.open()
    } catch (cause) {
      openDirectories.delete(directory)
      throw storeError('open', directory, cause)
    }
    return new LevelDBStore(db, options)
  }

  /** The sequence LevelDB gave to the last entry it acknowledged. */
  get lastSequence(): number {
    return this.#lastSequence
  }

  get failure(): StateBackendError | undefined {
    return this.#failure
  }

  /** A point read (S3). The bytes are the caller's own. */
  get(key: Buffer): Buffer | undefined {
    this.#checkUsable()
    if (this.#keys?.mayHave(bloomHash(key)) === false) return undefined
    try {
      return this.#db.getSync(key)
    } catch (cause) {
      throw this.#fail('read', cause)
    }
  }

  batch(): StoreBatch {
    this.#checkUsable()
    if (this.#keys?.isFull === true) this.#keys = undefined
    return new StoreBatch(this.#db.batch(), this.#keys)
  }

  /** Writes a batch that is not empty; its entries get the sequences that follow `lastSequence`, in their order. */
  async commit(batch: StoreBatch): Promise<void> {
    await this.#turns.push(async () => {
      this.#checkUsable()
      assert(this.#batchesInFlight === 0, 'S1: at most one write batch is in flight')
      assert(this.#openIterators === 0, 'S2: no iterator is open while a batch is in flight')
      this.#batchesInFlight++
      const count = batch.length
      try {
        await batch.write()
      } catch (cause) {
        throw this.#fail('write', cause)
      } finally {
        this.#batchesInFlight--
      }
      this.#batchStarts.add(this.#lastSequence + 1)
      this.#lastSequence += count
    })
  }

  /** One chunk of entries with keys in `[gte, lt)`, at most `limit`, ascending (S2). */
  async scan(gte: Buffer, lt: Buffer, limit: number): Promise<[Buffer, Buffer][]> {
    return this.#turns.push(async () => {
      this.#checkUsable()
      assert(this.#batchesInFlight === 0, 'S2: no iterator is open while a batch is in flight')
      const iterator = this.#db.iterator({ gte, lt, limit })
      this.#openIterators++
      try {
        // `nextv` also stops at 16 KiB of entries; only an empty answer is the end.
        const entries: [Buffer, Buffer][] = []
        while (entries.length < limit) {
          const next = await iterator.nextv(limit - entries.length)
          if (next.length === 0) break
          entries.push(...next)
        }
        return entries
      } catch (cause) {
        throw this.#fail('scan', cause)
      } finally {
        await iterator.close()
        this.#openIterators--
      }
    })
  }

  /**
   * Hard-links the tables of the current version into the new folder `directory`: a rebase without a flush and without a wait. To be
   * called between batches. Returns `undefined` when compactions got in the way every time.
   *
   * On a file system without hard links it copies them, which holds the event loop for as long as that takes. A copy is as good: a table
   * that the MANIFEST names is whole and is never changed, only removed.
   */
  captureTables(directory: string): CapturedTables | undefined {
    assert(this.#batchesInFlight === 0, 'tables are captured between batches')
    for (let attempt = 0; attempt < CAPTURE_ATTEMPTS_MAX; attempt++) {
      makeFolder(directory)
      try {
        return this.#captureOnce(directory)
      } catch (error) {
        rmSync(directory, { recursive: true, force: true })
        if (errnoOf(error) !== 'ENOENT') throw storeError('link tables of', this.directory, error)
      }
    }
    return undefined
  }

  /** What `captureTables` would give now; nothing where compactions get in the way every time. To be called between batches. */
  previewCapture(): CapturePreview {
    for (let attempt = 0; attempt < CAPTURE_ATTEMPTS_MAX; attempt++) {
      try {
        const version = readManifest(this.directory)
        return { tables: version.files, coveredSequence: this.#coveredBy(version) }
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw storeError('read the log of', this.directory, error)
      }
    }
    return { tables: [], coveredSequence: 0 }
  }

  #captureOnce(directory: string): CapturedTables {
    const version = readManifest(this.directory)
    const tables = version.files.map((file) => {
      const path = join(directory, tableFileName(file.number))
      linkOrCopy(join(this.directory, tableFileName(file.number)), path)
      return { ...file, path }
    })
    return { tables, coveredSequence: this.#coveredBy(version) }
  }

  /** From the log with exactly the version's number: its first record is the first entry that no table has. */
  #coveredBy(version: ManifestState): number {
    assert(version.lastSequence <= this.#lastSequence, 'LevelDB is not ahead of its only writer', {
      manifest: version.lastSequence,
      acknowledged: this.#lastSequence,
    })
    const first = firstBatchHeader(join(this.directory, logFileName(version.logNumber)))
    if (first === undefined) return this.#lastSequence
    const { sequence } = first
    assert(
      this.#batchStarts.mayHave(sequence),
      'a log of LevelDB begins with one of our batches: the sequences we count are the ones it gives',
      { sequence },
    )
    this.#batchStarts.forgetBefore(sequence)
    return sequence - 1
  }

  /** Waits for batches and scans under way; later calls throw `BACKEND_CLOSED`. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#turns.push(async () => {
      this.#failure ??= new StateBackendError('BACKEND_CLOSED', 'The database was closed.')
      await this.#db.close()
      openDirectories.delete(this.directory)
    })
    return this.#closing
  }

  #checkUsable(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #fail(action: string, cause: unknown): StateBackendError {
    this.#failure ??= storeError(action, this.directory, cause)
    return this.#failure
  }
}
