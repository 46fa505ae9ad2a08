/** LevelDB without us: `getSync`, chained batches with one in flight, the memory for two memtables, and the rest for the block cache. */
import type { Buffer } from 'node:buffer'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import type { Contender, ContenderOptions } from '../contender.js'
import { batchedContender } from './batched.js'

const MEMTABLE_BYTES_MAX = 16 * 2 ** 20

export async function openClassicLevel(options: ContenderOptions): Promise<Contender> {
  const writeBufferSize = Math.min(options.memoryBytes / 8, MEMTABLE_BYTES_MAX)
  const db = new ClassicLevel<Buffer, Buffer>(join(options.directory, 'db'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
    cacheSize: options.memoryBytes - 2 * writeBufferSize,
    writeBufferSize,
  })
  await db.open()
  let batch = db.batch()
  return batchedContender({
    get: (key) => db.getSync(key),
    scan: async (gte, lt, limit) => {
      const iterator = db.iterator({ gte, lt, limit })
      const entries = await iterator.nextv(limit)
      await iterator.close()
      return entries
    },
    put: (key, value) => {
      batch.put(key, value)
    },
    delete: (key) => {
      batch.del(key)
    },
    write: async () => {
      const full = batch
      batch = db.batch()
      await full.write()
    },
    close: async () => {
      await batch.close()
      await db.close()
    },
  })
}
