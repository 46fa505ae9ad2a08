/** lmdb and its `backup`, which copies the whole database in a thread of its own while the stream goes on. */
import type { Buffer } from 'node:buffer'
import { copyFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import type { Contender, ContenderModule, RunningCheckpoint, Uploaded } from '../contender.js'
import { removeOlder, writeDurably } from '../durable-files.js'
import { CollectedWrites } from './collected-writes.js'

const FILE = 'state.mdb'

export const lmdb: ContenderModule = {
  prepared: 'files',
  open: ({ directory }) => Promise.resolve(new Lmdb(join(directory, FILE), directory)),
  restore: async ({ directory }) => {
    const storage = join(directory, 'checkpoints')
    const ids = (await readdir(storage)).map((name) => Number.parseInt(name, 10))
    const path = join(directory, `restored-${FILE}`)
    await copyFile(join(storage, `${Math.max(...ids)}.mdb`), path)
    return new Lmdb(path, directory)
  },
}

class Lmdb implements Contender {
  readonly #db: RootDatabase<Buffer, number>
  readonly #storage: string
  readonly #writes = new CollectedWrites()
  #checkpointId = 0

  /** No sync: what was not checkpointed may be lost, as with the others. */
  constructor(path: string, directory: string) {
    this.#db = open<Buffer, number>({
      path,
      encoding: 'binary',
      keyEncoding: 'uint32',
      noSync: true,
    })
    this.#storage = join(directory, 'checkpoints')
  }

  read(key: number): Uint8Array | undefined {
    return this.#writes.get(key) ?? this.#db.get(key)
  }

  write(key: number, value: Buffer): void {
    this.#writes.set(key, value)
  }

  get mustSettle(): boolean {
    return this.#writes.isFull
  }

  settle(): Promise<void> {
    this.#db.transactionSync(() => {
      for (const [key, value] of this.#writes.take()) this.#db.putSync(key, value)
    })
    return Promise.resolve()
  }

  checkpoint(): RunningCheckpoint {
    const resumed = this.settle()
    return { resumed, durable: resumed.then(() => this.#backup()) }
  }

  async #backup(): Promise<Uploaded> {
    const name = `${++this.#checkpointId}.mdb`
    const bytes = await writeDurably(this.#storage, name, (path) => this.#db.backup(path, false))
    return { bytes, kind: 'backup' }
  }

  discardOld(): Promise<void> {
    return removeOlder(this.#storage, this.#checkpointId)
  }

  async close(): Promise<void> {
    await this.settle()
    await this.#db.close()
  }
}
