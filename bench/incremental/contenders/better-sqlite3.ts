/** SQLite and its online backup, which copies the whole database in steps between which the stream goes on. */
import type { Buffer } from 'node:buffer'
import { copyFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { requirePeer } from '../../state/optional-peers.js'
import type { Contender, ContenderModule, RunningCheckpoint, Uploaded } from '../contender.js'
import { removeOlder, writeDurably } from '../durable-files.js'
import { CollectedWrites } from './collected-writes.js'

interface Statement {
  get(...parameters: unknown[]): unknown
  run(...parameters: unknown[]): unknown
  pluck(): Statement
}

interface Database {
  pragma(text: string): unknown
  exec(text: string): unknown
  prepare(text: string): Statement
  backup(path: string, options: { progress: () => number }): Promise<unknown>
  close(): void
}

const FILE = 'state.sqlite'
/** Of 4 KiB, a step: 2 ms, so that the stream has its turns; the default is 100. */
const BACKUP_PAGES = 1000

export const betterSqlite3: ContenderModule = {
  prepared: 'files',
  open: ({ directory, memoryBytes }) =>
    Promise.resolve(new BetterSqlite3(join(directory, FILE), directory, memoryBytes)),
  restore: async ({ directory, memoryBytes }) => {
    const storage = join(directory, 'checkpoints')
    const ids = (await readdir(storage)).map((name) => Number.parseInt(name, 10))
    const path = join(directory, `restored-${FILE}`)
    await copyFile(join(storage, `${Math.max(...ids)}.sqlite`), path)
    return new BetterSqlite3(path, directory, memoryBytes)
  },
}

class BetterSqlite3 implements Contender {
  readonly #db: Database
  readonly #get: Statement
  readonly #put: Statement
  readonly #storage: string
  readonly #writes = new CollectedWrites()
  #checkpointId = 0

  constructor(path: string, directory: string, memoryBytes: number) {
    const Sqlite = requirePeer('better-sqlite3') as new (path: string) => Database
    this.#db = new Sqlite(path)
    // One process: no lock is taken for a read.
    this.#db.pragma('locking_mode = EXCLUSIVE')
    this.#db.pragma('journal_mode = WAL')
    this.#db.pragma('synchronous = OFF')
    this.#db.pragma(`cache_size = -${Math.floor(memoryBytes / 1024)}`)
    this.#db.exec('CREATE TABLE IF NOT EXISTS state (key INTEGER PRIMARY KEY, value BLOB)')
    this.#get = this.#db.prepare('SELECT value FROM state WHERE key = ?').pluck()
    this.#put = this.#db.prepare('INSERT OR REPLACE INTO state VALUES (?, ?)')
    this.#storage = join(directory, 'checkpoints')
  }

  read(key: number): Uint8Array | undefined {
    return this.#writes.get(key) ?? (this.#get.get(key) as Buffer | undefined)
  }

  write(key: number, value: Buffer): void {
    this.#writes.set(key, value)
  }

  get mustSettle(): boolean {
    return this.#writes.isFull
  }

  settle(): Promise<void> {
    this.#db.exec('BEGIN')
    for (const [key, value] of this.#writes.take()) this.#put.run(key, value)
    this.#db.exec('COMMIT')
    return Promise.resolve()
  }

  checkpoint(): RunningCheckpoint {
    const resumed = this.settle()
    return { resumed, durable: resumed.then(() => this.#backup()) }
  }

  async #backup(): Promise<Uploaded> {
    const name = `${++this.#checkpointId}.sqlite`
    const bytes = await writeDurably(this.#storage, name, (path) =>
      this.#db.backup(path, { progress: () => BACKUP_PAGES }),
    )
    return { bytes, kind: 'backup' }
  }

  discardOld(): Promise<void> {
    return removeOlder(this.#storage, this.#checkpointId)
  }

  async close(): Promise<void> {
    await this.settle()
    this.#db.close()
  }
}
