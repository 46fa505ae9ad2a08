/** `S3ObjectStore` against the endpoint of the run: the contract, and what only a real server can show. */
import { Buffer } from 'node:buffer'
import { createHash, createCipheriv, randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bodyOfBytes, type ObjectBody } from '../../src/storage/object-store.js'
import type { S3ObjectStore, S3ObjectStoreOptions } from '../../src/storage/s3/s3-object-store.js'
import { keysOf, readText, unfinishedIn } from '../conformance/object-store/fixture.js'
import { jobsOnObjectStoreSuite } from '../conformance/jobs-on-object-store-suite.js'
import { objectStoreSuite } from '../conformance/object-store-suite.js'
import { clientOptions, openStore, removeStore, storeFixture } from './endpoint.js'

objectStoreSuite('S3ObjectStore on a real server', storeFixture)
jobsOnObjectStoreSuite('S3ObjectStore on a real server', storeFixture)

const TABLES = 25
const TABLE_BYTES = 8_388_613

async function open(options?: Partial<S3ObjectStoreOptions>): Promise<S3ObjectStore> {
  const { store } = await openStore(options)
  onTestFinished(() => removeStore(store))
  return store
}

describe('S3ObjectStore on a real server', () => {
  it(`takes ${TABLES} tables of 8 MiB, 200 MB, up and down byte for byte`, async () => {
    // Small parts, so that every table goes up in several.
    const store = await open({ partSizeBytes: 5 * 1024 * 1024 })
    const digests = await Promise.all(
      Array.from({ length: TABLES }, async (_, index) => {
        const bytes = noise(index, TABLE_BYTES + (index % 3) * 3_000_000)
        await store.put(`job/shared/${index}.ldb`, bodyOfBytes(bytes))
        return sha256(bytes)
      }),
    )
    for (const [index, digest] of digests.entries()) {
      const hash = createHash('sha256')
      for await (const chunk of await store.get(`job/shared/${index}.ldb`)) hash.update(chunk)
      expect(hash.digest('hex'), `table ${index}`).toBe(digest)
    }
    expect((await keysOf(store, 'job/')).length).toBe(TABLES)
  }, 300_000)

  it('keeps neither object nor upload of a put that is aborted on the way', async () => {
    const store = await open({ partSizeBytes: 5 * 1024 * 1024 })
    const controller = new AbortController()
    const bytes = noise(0, 5 * TABLE_BYTES)
    const body: ObjectBody = {
      sizeBytes: bytes.length,
      async *chunks() {
        for (let at = 0; at < bytes.length; at += TABLE_BYTES) {
          // The parts before it are on their way, or there.
          if (at === 4 * TABLE_BYTES) controller.abort()
          yield bytes.subarray(at, at + TABLE_BYTES)
        }
      },
    }
    const { signal } = controller
    await expect(store.put('job/shared/a.ldb', body, { signal })).rejects.toMatchObject({
      code: 'SNAPSHOT_ABORTED',
    })
    expect(await keysOf(store, '')).toEqual([])
    expect(await unfinishedIn(store)).toEqual([])
  })

  it('has one winner of 16 publishers, each with a client of its own', async () => {
    const { store, prefix } = await openStore()
    onTestFinished(() => removeStore(store))
    const publishers = await Promise.all(
      Array.from({ length: 16 }, () => openStore({ prefix }).then((opened) => opened.store)),
    )
    for (let round = 0; round < 10; round++) {
      const key = `job/chk-${round}/_metadata`
      const won = await Promise.all(
        publishers.map((publisher, index) =>
          publisher.putIfAbsent(key, Buffer.from(`publisher ${index}`)),
        ),
      )
      expect(won.filter(Boolean).length).toBe(1)
      expect(await readText(store, key)).toBe(`publisher ${won.indexOf(true)}`)
    }
    for (const publisher of publishers) publisher.close()
  })

  it('refuses a wrong secret and a missing bucket, and says which', async () => {
    const credentials = {
      accessKeyId: process.env['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: 'not-the-secret',
    }
    await expect(open({ clientOptions: { ...clientOptions, credentials } })).rejects.toMatchObject({
      code: 'STORAGE_ACCESS_DENIED',
      message: expect.stringContaining('credentials'),
    })
    await expect(
      open({ bucket: `missing-${randomBytes(8).toString('hex')}` }),
    ).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('Create it'),
    })
  })
})

/** Bytes that follow from `seed` alone, compress to nothing less, and cost little to make. */
function noise(seed: number, sizeBytes: number): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  return cipher.update(Buffer.alloc(sizeBytes))
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
