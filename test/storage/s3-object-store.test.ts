/** `S3ObjectStore` against the stand-in server: the contract, and what S3 adds to it. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bodyOfBytes, type ObjectBody } from '../../src/storage/object-store.js'
import { S3ObjectStore, type S3ObjectStoreOptions } from '../../src/storage/s3/s3-object-store.js'
import { bytesOf, keysOf, unfinishedIn } from '../conformance/object-store/fixture.js'
import { objectStoreSuite } from '../conformance/object-store-suite.js'
import {
  clientOptionsOf,
  HastyClock,
  leaveUpload,
  storeOptionsOf,
} from '../support/s3-server/s3-fixture.js'
import { S3Server, type S3ServerOptions } from '../support/s3-server/s3-server.js'

const MIB = 1024 * 1024

objectStoreSuite('S3ObjectStore', async () => {
  const server = await S3Server.start({ pageSize: 7 })
  const store = await S3ObjectStore.open(storeOptionsOf(server, new HastyClock()))
  return {
    store,
    cleanup: async () => {
      store.close()
      await server.stop()
    },
    leaveUnfinished: (sizeBytes) =>
      leaveUpload(clientOptionsOf(server), server.bucketName, 'job/left', sizeBytes),
  }
})

describe('S3ObjectStore', () => {
  const servers: S3Server[] = []
  const stores: S3ObjectStore[] = []
  let server: S3Server
  let clock: HastyClock
  beforeEach(async () => {
    clock = new HastyClock()
    server = await startServer()
  })
  afterEach(async () => {
    for (const store of stores.splice(0)) store.close()
    for (const each of servers.splice(0)) await each.stop()
  })

  async function startServer(options?: S3ServerOptions): Promise<S3Server> {
    const started = await S3Server.start(options)
    servers.push(started)
    return started
  }

  async function open(
    options: Partial<S3ObjectStoreOptions> = {},
    on: S3Server = server,
  ): Promise<S3ObjectStore> {
    const store = await S3ObjectStore.open({ ...storeOptionsOf(on, clock), ...options })
    stores.push(store)
    // What opening asked for is of no interest to the tests that count.
    on.seen.length = 0
    return store
  }

  describe('opening', () => {
    it('proves that create-only is honoured, and leaves nothing', async () => {
      await S3ObjectStore.open({ ...storeOptionsOf(server, clock), prefix: 'team' })
      expect(server.counts).toEqual({ PutObject: 2, HeadObject: 1, DeleteObject: 1 })
      expect(server.bucket.objects.size).toBe(0)
    })

    it.each(['ignore', 'refuse'] as const)(
      'refuses a server that is asked to create only and would %s that, and says why',
      async (createOnly) => {
        const other = await startServer({ createOnly })
        await expect(open({}, other)).rejects.toMatchObject({
          code: 'STORAGE_UNSUITABLE',
          kind: 'invalid',
          message: expect.stringMatching(/If-None-Match.*preferred/),
        })
        expect(other.bucket.objects.size).toBe(0)
      },
    )

    it.each(['ignore', 'refuse'] as const)(
      "with 'preferred' goes on with a server that would %s it, and looks before it creates",
      async (createOnly) => {
        const other = await startServer({ createOnly })
        const store = await open({ createOnly: 'preferred' }, other)
        expect(other.bucket.objects.size).toBe(0)
        expect(store.supports.conditionalPut).toBe(false)
        expect(await store.putIfAbsent('a', Buffer.from('first'))).toBe(true)
        expect(await store.putIfAbsent('a', Buffer.from('second'))).toBe(false)
        expect((await bytesOf(await store.get('a'))).toString()).toBe('first')
      },
    )

    it("with 'preferred' is no other than with 'required' where the server honours it", async () => {
      const store = await open({ createOnly: 'preferred' })
      expect(store.supports.conditionalPut).toBe(true)
      expect(await store.putIfAbsent('a', Buffer.from('first'))).toBe(true)
      expect(await store.putIfAbsent('a', Buffer.from('second'))).toBe(false)
      expect(server.counts).toEqual({ PutObject: 2, HeadObject: 1 })
    })

    describe("with 'unproven'", () => {
      const openUnproven = (on: S3Server): Promise<S3ObjectStore> =>
        S3ObjectStore.open({ ...storeOptionsOf(on, clock), createOnly: 'unproven' }).then(
          (store) => {
            stores.push(store)
            return store
          },
        )

      it('asks nothing at open, looks before it creates, and asks to create only', async () => {
        const store = await openUnproven(server)
        expect(server.seen).toEqual([])
        expect(store.supports.conditionalPut).toBe(false)
        expect(await store.putIfAbsent('a', Buffer.from('first'))).toBe(true)
        expect(await store.putIfAbsent('a', Buffer.from('second'))).toBe(false)
        expect(server.counts).toEqual({ HeadObject: 2, PutObject: 1 })
        server.fault = ({ operation }) => {
          // Between the look and the put another writer is first.
          if (operation === 'PutObject') server.bucket.put('b', Buffer.from('theirs'), {})
          return undefined
        }
        expect(await store.putIfAbsent('b', Buffer.from('ours'))).toBe(false)
        expect((await bytesOf(await store.get('b'))).toString()).toBe('theirs')
      })

      it('stores nothing where the server refuses that', async () => {
        const other = await startServer({ createOnly: 'refuse' })
        const store = await openUnproven(other)
        await expect(store.putIfAbsent('a', Buffer.from('x'))).rejects.toMatchObject({
          code: 'STORAGE_FAILED',
        })
        expect(other.bucket.objects.size).toBe(0)
      })
    })

    it('refuses a wrong secret, an unknown access key, and no credentials', async () => {
      const { accessKeyId, secretAccessKey } = server.credentials
      for (const credentials of [
        { accessKeyId, secretAccessKey: `${secretAccessKey}x` },
        { accessKeyId: 'AKIDOTHER', secretAccessKey },
        () =>
          Promise.reject(Object.assign(new Error('none'), { name: 'CredentialsProviderError' })),
      ]) {
        const clientOptions = { ...clientOptionsOf(server), credentials }
        await expect(open({ clientOptions })).rejects.toMatchObject({
          code: 'STORAGE_ACCESS_DENIED',
          message: expect.stringContaining('credentials'),
          details: { bucket: 'checkpoints' },
        })
      }
      expect(server.bucket.objects.size).toBe(0)
    })

    it('never tells a secret, neither in messages nor in what hangs on the error', async () => {
      const secretAccessKey = 'a-secret-that-nobody-may-see'
      const sessionToken = 'a-token-that-nobody-may-see'
      const credentials = {
        accessKeyId: server.credentials.accessKeyId,
        secretAccessKey,
        sessionToken,
      }
      const endpoint = server.endpoint.replace('//', '//user:a-password-nobody-may-see@')
      const error: unknown = await open({
        clientOptions: { ...clientOptionsOf(server), credentials, endpoint },
      }).catch((failure: unknown) => failure)
      expect(error).toMatchObject({ name: 'StateBackendError' })
      const all = inspect(error, { depth: 20, showHidden: true, maxStringLength: null })
      expect(all).not.toMatch(/nobody-may-see/)
      expect(all).toContain('s3://checkpoints')
    })

    it('names a missing bucket, a denied permission, and an endpoint nobody listens at', async () => {
      await expect(open({ bucket: 'nowhere' })).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
        message: expect.stringMatching(/no bucket nowhere\. Create it/),
      })
      server.fault = ({ operation }) =>
        operation === 'DeleteObject' ? { answer: { status: 403, code: 'AccessDenied' } } : undefined
      await expect(open()).rejects.toMatchObject({
        code: 'STORAGE_ACCESS_DENIED',
        message: expect.stringMatching(/Cannot delete .*s3:DeleteObject/),
      })
      const gone = await startServer()
      await gone.stop()
      await expect(open({}, gone)).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
        message: expect.stringMatching(/endpoint cannot be reached/),
      })
    })

    it('names a clock that is wrong', async () => {
      server.fault = () => ({ answer: { status: 403, code: 'RequestTimeTooSkewed' } })
      await expect(open()).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
        message: expect.stringMatching(/clock/),
      })
    })

    it.each([
      [{ bucket: '' }],
      [{ prefix: '/a' }],
      [{ prefix: '.a' }],
      [{ prefix: '/' }],
      [{ partSizeBytes: 5 * MIB - 1 }],
      [{ partSizeBytes: 64 * MIB + 1 }],
      [{ client: new S3Client({}) }],
    ] satisfies [Partial<S3ObjectStoreOptions>][])('refuses %o', async (options) => {
      await expect(open(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect(server.seen).toEqual([])
    })

    it('takes a client of the caller, and leaves it open', async () => {
      const client = new S3Client({ ...clientOptionsOf(server), forcePathStyle: true })
      const store = await open({ client, clientOptions: undefined })
      store.close()
      await store.put('a', bodyOfBytes(Buffer.from('x')))
      expect(await keysOf(store, '')).toEqual(['a'])
      client.destroy()
    })
  })

  describe('a prefix', () => {
    it('keeps stores in one bucket apart, objects and unfinished uploads', async () => {
      const [a, ab] = [await open({ prefix: 'a' }), await open({ prefix: 'ab/' })]
      await a.put('x', bodyOfBytes(Buffer.from('1')))
      await ab.put('y', bodyOfBytes(Buffer.from('2')))
      await leaveUpload(clientOptionsOf(server), server.bucketName, 'ab/z', 0)
      expect([...server.bucket.objects.keys()].sort()).toEqual(['a/x', 'ab/y'])
      expect(await keysOf(a, '')).toEqual(['x'])
      expect(await keysOf(ab, '')).toEqual(['y'])
      expect(await unfinishedIn(a)).toEqual([])
      const [left] = await unfinishedIn(ab)
      await ab.discardUnfinished(left === undefined ? [] : [left.id])
      expect(server.bucket.uploads.size).toBe(0)
    })

    it('counts in the length of a name', async () => {
      const store = await open({ prefix: 'p' })
      const longest = 'abc/'.repeat(255) + 'ab'
      await store.put(longest, bodyOfBytes(Buffer.from('x')))
      expect(await keysOf(store, '')).toEqual([longest])
      await expect(store.put(`${longest}c`, bodyOfBytes(Buffer.from('x')))).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('shorter prefix'),
      })
    })
  })

  describe('large objects', () => {
    const partSizeBytes = 5 * MIB

    /** Of random bytes, in chunks that fit no part. */
    function large(sizeBytes: number): { bytes: Buffer; body: ObjectBody } {
      const bytes = randomBytes(sizeBytes)
      const chunkBytes = 700_001
      async function* chunks(): AsyncIterable<Uint8Array> {
        for (let at = 0; at < sizeBytes; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
      }
      return { bytes, body: { sizeBytes, chunks } }
    }

    it.each([
      [2 * partSizeBytes, { PutObject: 1 }],
      [
        2 * partSizeBytes + 1,
        { CreateMultipartUpload: 1, UploadPart: 3, CompleteMultipartUpload: 1 },
      ],
      [9 * partSizeBytes, { CreateMultipartUpload: 1, UploadPart: 9, CompleteMultipartUpload: 1 }],
    ])('of %i bytes go up in the fewest requests and come back', async (sizeBytes, counts) => {
      const store = await open({ partSizeBytes })
      const { bytes, body } = large(sizeBytes)
      await store.put('a', body)
      expect(server.counts).toEqual(counts)
      expect((await bytesOf(await store.get('a'))).equals(bytes)).toBe(true)
      expect(server.counts.GetObject).toBe(Math.ceil(sizeBytes / partSizeBytes))
      const range = { offset: 3 * MIB + 1, length: sizeBytes }
      const tail = await bytesOf(await store.get('a', { range }))
      expect(tail.equals(bytes.subarray(range.offset))).toBe(true)
      expect(server.bucket.uploads.size).toBe(0)
    })

    it('that fail on the way leave neither object nor upload', async () => {
      const store = await open({ partSizeBytes })
      server.fault = ({ operation, headers }) =>
        operation === 'UploadPart' && Number(headers['content-length']) < partSizeBytes
          ? { answer: { status: 403, code: 'AccessDenied' } }
          : undefined
      await expect(store.put('a', large(3 * partSizeBytes - 1).body)).rejects.toMatchObject({
        code: 'STORAGE_ACCESS_DENIED',
        details: { key: 'a', bucket: 'checkpoints', httpStatus: 403 },
      })
      expect(server.bucket.uploads.size + server.bucket.objects.size).toBe(0)
    })

    it('that are aborted on the way leave neither object nor upload', async () => {
      const store = await open({ partSizeBytes })
      const controller = new AbortController()
      server.fault = ({ operation, times }) => {
        if (operation === 'UploadPart' && times === 3) controller.abort()
        return undefined
      }
      const { signal } = controller
      await expect(store.put('a', large(9 * partSizeBytes).body, { signal })).rejects.toMatchObject(
        { code: 'SNAPSHOT_ABORTED' },
      )
      expect(server.bucket.uploads.size + server.bucket.objects.size).toBe(0)
    })

    it('of the wrong size leave neither object nor upload', async () => {
      const store = await open({ partSizeBytes })
      const { body } = large(3 * partSizeBytes)
      for (const sizeBytes of [body.sizeBytes - 1, body.sizeBytes + 1]) {
        const put = store.put('a', { ...body, sizeBytes })
        await expect(put).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
      }
      expect(server.bucket.uploads.size + server.bucket.objects.size).toBe(0)
    })

    it('replaced while they are read are never mixed', async () => {
      const store = await open({ partSizeBytes })
      await store.put('a', large(3 * partSizeBytes).body)
      const reading = await store.get('a')
      await store.put('a', large(3 * partSizeBytes).body)
      await expect(bytesOf(reading)).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
        message: expect.stringContaining('replaced'),
      })
    })

    it('are asked for a few ranges ahead of the reader, and no more', async () => {
      const store = await open({ partSizeBytes })
      await store.put('a', large(12 * partSizeBytes).body)
      const reading = await store.get('a')
      expect(server.counts.GetObject).toBe(1)
      for await (const chunk of reading) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
      expect(server.counts.GetObject).toBeLessThanOrEqual(5)
    })
  })
})
