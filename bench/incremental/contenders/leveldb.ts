/**
 * LevelDB by hand, as well as classic-level can be used: chained batches, one in flight; points are read with `getSync`; no
 * compression, as with ours. How it is checkpointed is for the subclasses to say.
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClassicLevel } from 'classic-level'
import { readManifest } from '../../../src/table/manifest.js'
import type { Contender, ContenderOptions, RunningCheckpoint } from '../contender.js'
import { KEY_BYTES } from '../records.js'
import { CollectedWrites } from './collected-writes.js'

const MEMTABLE_FRACTION = 1 / 8
const MEMTABLE_BYTES_MAX = 16 * 2 ** 20
/** One that is written to, and one that is being written to a table. Blocks get what they leave. */
const MEMTABLES = 2
/** A compaction makes a table at least so often. */
const QUIET_MS = 1000
/** Past every key. */
const NO_KEY = Buffer.from([0xff, 0xff])

export interface LevelDBOptions extends ContenderOptions {
  /** Of the database, in `directory`. */
  readonly name: string
}

export abstract class LevelDBContender implements Contender {
  protected readonly databaseDirectory: string
  protected readonly storage: string
  readonly #memoryBytes: number
  readonly #writes = new CollectedWrites()
  readonly #key = Buffer.alloc(KEY_BYTES)
  #db: ClassicLevel<Buffer, Buffer> | undefined

  constructor({ directory, name, memoryBytes }: LevelDBOptions) {
    this.databaseDirectory = join(directory, name)
    this.storage = join(directory, 'checkpoints')
    this.#memoryBytes = memoryBytes
  }

  abstract checkpoint(): RunningCheckpoint
  abstract discardOld(): Promise<void>

  async open(): Promise<this> {
    const memtableBytes = Math.min(this.#memoryBytes * MEMTABLE_FRACTION, MEMTABLE_BYTES_MAX)
    const db = new ClassicLevel<Buffer, Buffer>(this.databaseDirectory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      compression: false,
      cacheSize: this.#memoryBytes - MEMTABLES * memtableBytes,
      writeBufferSize: memtableBytes,
    })
    await db.open()
    this.#db = db
    return this
  }

  get #opened(): ClassicLevel<Buffer, Buffer> {
    if (this.#db === undefined) throw new Error('open it first')
    return this.#db
  }

  read(key: number): Uint8Array | undefined {
    return this.#writes.get(key) ?? this.#opened.getSync(this.#encoded(key))
  }

  write(key: number, value: Buffer): void {
    this.#writes.set(key, value)
  }

  get mustSettle(): boolean {
    return this.#writes.isFull
  }

  async settle(): Promise<void> {
    const batch = this.#opened.batch()
    for (const [key, value] of this.#writes.take()) batch.put(this.#encoded(key), value)
    await batch.write()
  }

  #encoded(key: number): Buffer {
    this.#key.writeDoubleBE(key)
    return this.#key
  }

  /** Switches the memtable and writes the old one to a table; then waits for a compaction that is under way. */
  protected compactNothing(): Promise<void> {
    return this.#opened.compactRange(NO_KEY, NO_KEY)
  }

  async quiet(): Promise<void> {
    const nextFileNumber = (): number => readManifest(this.databaseDirectory).nextFileNumber
    let before: number
    do {
      before = nextFileNumber()
      await sleep(QUIET_MS)
    } while (nextFileNumber() > before)
  }

  async close(): Promise<void> {
    await this.settle()
    await this.#opened.close()
  }
}
