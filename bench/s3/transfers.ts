/** Tables up and down, by our store and by what the SDK has for it, a few at a time as checkpoints do. */
import { randomFillSync } from 'node:crypto'
import { createReadStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { mapLimit } from '../../src/common/concurrency.js'
import { bodyOfFile } from '../../src/storage/object-store.js'
import type { S3ObjectStore } from '../../src/storage/s3/s3-object-store.js'
import type { Endpoint } from './endpoint.js'

const TABLES = 8
/** As many as one snapshot uploads at a time. */
const TABLES_IN_FLIGHT = 4
/** The SDK's own default of parts in flight is 4 and of 5 MiB; these are our store's. */
const RANGE_BYTES = 8 * 2 ** 20

export interface Table {
  readonly path: string
  readonly key: string
  readonly sizeBytes: number
}

/** Files of noise. */
export function makeTables(directory: string, totalBytes: number): Table[] {
  const sizeBytes = Math.ceil(totalBytes / TABLES)
  return Array.from({ length: TABLES }, (_, index) => {
    const path = join(directory, `${index}.ldb`)
    writeFileSync(path, randomFillSync(Buffer.allocUnsafe(sizeBytes)))
    return { path, key: `tables/${index}.ldb`, sizeBytes }
  })
}

export interface Way {
  upload(table: Table): Promise<void>
  /** Resolves to how many bytes came. */
  download(table: Table): Promise<number>
}

export function waysOf(
  { client, bucket: Bucket }: Endpoint,
  store: S3ObjectStore,
  prefix: string,
): Record<'ours' | 'sdk', Way> {
  return {
    ours: {
      upload: ({ key, path, sizeBytes }) => store.put(key, bodyOfFile(path, sizeBytes)),
      download: async ({ key }) => {
        let sizeBytes = 0
        for await (const chunk of await store.get(key)) sizeBytes += chunk.length
        return sizeBytes
      },
    },
    sdk: {
      upload: async ({ key, path }) => {
        const params = { Bucket, Key: `${prefix}/${key}`, Body: createReadStream(path) }
        await new Upload({ client, params }).done()
      },
      download: async ({ key, sizeBytes }) => {
        let received = 0
        for (let offset = 0; offset < sizeBytes; offset += RANGE_BYTES) {
          const Range = `bytes=${offset}-${Math.min(offset + RANGE_BYTES, sizeBytes) - 1}`
          const command = new GetObjectCommand({ Bucket, Key: `${prefix}/${key}`, Range })
          const { Body } = await client.send(command)
          received += (await Body?.transformToByteArray())?.length ?? 0
        }
        return received
      },
    },
  }
}

/** Megabytes (1e6 bytes) per second. */
export async function uploadRate(way: Way, tables: readonly Table[]): Promise<number> {
  const startMs = performance.now()
  await mapLimit(tables, TABLES_IN_FLIGHT, (table) => way.upload(table))
  return rate(tables, startMs)
}

export async function downloadRate(way: Way, tables: readonly Table[]): Promise<number> {
  const startMs = performance.now()
  const received = await mapLimit(tables, TABLES_IN_FLIGHT, (table) => way.download(table))
  const expected = tables.map(({ sizeBytes }) => sizeBytes)
  if (received.join() !== expected.join()) throw new Error(`${received.join()} bytes came`)
  return rate(tables, startMs)
}

function rate(tables: readonly Table[], startMs: number): number {
  const bytes = tables.reduce((total, { sizeBytes }) => total + sizeBytes, 0)
  return bytes / 1e6 / ((performance.now() - startMs) / 1000)
}
