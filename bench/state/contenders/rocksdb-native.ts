/** RocksDB by its binding for Node.js, whose reads are all asynchronous; its block cache cannot be sized. */
import type { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { Contender, ContenderOptions } from '../contender.js'
import { requirePeer } from '../optional-peers.js'
import { batchedContender } from './batched.js'

interface WriteBatch {
  tryPut(key: Buffer, value: Buffer): void
  tryDelete(key: Buffer): void
  flush(): Promise<void>
  destroy(): void
}

interface RocksDB {
  ready(): Promise<void>
  get(key: Buffer): Promise<Buffer | null>
  write(options: { capacity: number }): WriteBatch
  iterator(
    range: { gte: Buffer; lt: Buffer },
    options: { limit: number; capacity: number },
  ): AsyncIterable<{ key: Buffer; value: Buffer }>
  close(): Promise<void>
}

type RocksDBConstructor = new (path: string, options: { writeBufferSize: number }) => RocksDB

/** As in Flink's: two write buffers of 64 MiB, as far as the budget goes. */
const WRITE_BUFFER_BYTES_MAX = 64 * 2 ** 20
const BATCH_CAPACITY = 2048

export async function openRocksDBNative(options: ContenderOptions): Promise<Contender> {
  const Database = requirePeer('rocksdb-native') as RocksDBConstructor
  const writeBufferSize = Math.min(options.memoryBytes / 4, WRITE_BUFFER_BYTES_MAX)
  const db = new Database(join(options.directory, 'db'), { writeBufferSize })
  await db.ready()
  let batch = db.write({ capacity: BATCH_CAPACITY })
  return batchedContender({
    get: (key) => db.get(key),
    scan: async (gte, lt, limit) => {
      const entries: [Buffer, Buffer][] = []
      for await (const { key, value } of db.iterator({ gte, lt }, { limit, capacity: limit })) {
        entries.push([key, value])
      }
      return entries
    },
    put: (key, value) => batch.tryPut(key, value),
    delete: (key) => batch.tryDelete(key),
    write: async () => {
      const full = batch
      batch = db.write({ capacity: BATCH_CAPACITY })
      await full.flush()
      full.destroy()
    },
    close: async () => {
      batch.destroy()
      await db.close()
    },
  })
}
