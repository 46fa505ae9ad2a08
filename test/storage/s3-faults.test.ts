/** `S3ObjectStore` when the network and the server fail: what is sent again, how often, and what a lost answer hides. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { S3ObjectStore } from '../../src/storage/s3/s3-object-store.js'
import { bytesOf, keysOf, readText, text } from '../conformance/object-store/fixture.js'
import type { OperationName } from '../support/s3-server/operations.js'
import { clientOptionsOf, HastyClock, storeOptionsOf } from '../support/s3-server/s3-fixture.js'
import { S3Server, type Fault } from '../support/s3-server/s3-server.js'

const MIB = 1024 * 1024
/** Three parts of 5 MiB, the last one short. */
const large = randomBytes(11 * MIB)
const slowDown: Fault = { answer: { status: 503, code: 'SlowDown' } }

describe('S3ObjectStore under faults', () => {
  let server: S3Server
  let clock: HastyClock
  let store: S3ObjectStore
  beforeEach(async () => {
    server = await S3Server.start({ pageSize: 3 })
    clock = new HastyClock()
    store = await S3ObjectStore.open({
      ...storeOptionsOf(server, clock),
      partSizeBytes: 5 * MIB,
    })
    server.seen.length = 0
  })
  afterEach(async () => {
    store.close()
    await server.stop()
  })

  /** `fault` for the first request of `operation`, by key. */
  function failOnce(operation: OperationName, fault: Fault): void {
    const failed = new Set<string>()
    server.fault = (request) => {
      if (request.operation !== operation || failed.has(request.key)) return undefined
      failed.add(request.key)
      return fault
    }
  }

  const create = (key: string, value: string): Promise<boolean> =>
    store.putIfAbsent(key, Buffer.from(value))

  describe('throttling', () => {
    it('is answered with pauses that double, and forgotten when it ends', async () => {
      server.fault = ({ times }) => (times <= 4 ? slowDown : undefined)
      await store.put('a', text('x'))
      expect(clock.pausesMs).toEqual([1000, 2000, 4000, 8000])
      expect(await readText(store, 'a')).toBe('x')
    })

    it('that does not end fails the call after six attempts, and says what to do', async () => {
      server.fault = () => slowDown
      await expect(store.put('a', text('x'))).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
        kind: 'unavailable',
        message: expect.stringMatching(/after 6 attempts \(SlowDown, HTTP 503\).*fewer requests/),
        details: { bucket: 'checkpoints', key: 'a', s3Code: 'SlowDown', httpStatus: 503 },
      })
      expect(clock.pausesMs).toEqual([1000, 2000, 4000, 8000, 16000])
      expect(server.counts).toEqual({ PutObject: 6 })
    })
  })

  describe('an answer that will be the same', () => {
    it.each([
      [403, 'AccessDenied', 'STORAGE_ACCESS_DENIED'],
      [403, 'ExpiredToken', 'STORAGE_ACCESS_DENIED'],
      [404, 'NoSuchBucket', 'STORAGE_FAILED'],
      [400, 'AuthorizationHeaderMalformed', 'STORAGE_FAILED'],
      [400, 'InvalidArgument', 'STORAGE_FAILED'],
      [507, 'InsufficientStorage', 'DISK_FULL'],
      [501, 'NotImplemented', 'STORAGE_FAILED'],
    ])('%i %s is asked for once, and is %s', async (status, s3Code, code) => {
      server.fault = () => ({ answer: { status, code: s3Code } })
      await expect(store.put('a', text('x'))).rejects.toMatchObject({ code, details: { s3Code } })
      expect(server.counts).toEqual({ PutObject: 1 })
      expect(clock.pausesMs).toEqual([])
    })
  })

  describe('a connection that breaks', () => {
    it.each(['body', 'request', 'answer'] as const)(
      'before or after the %s of a put costs a repetition',
      async (lose) => {
        failOnce('PutObject', { lose })
        const bytes = large.subarray(0, 3 * MIB)
        await store.put('a', bodyOfBytes(bytes))
        expect((await bytesOf(await store.get('a'))).equals(bytes)).toBe(true)
        expect(server.counts.PutObject).toBe(2)
        expect(clock.pausesMs).toEqual([100])
      },
    )

    it.each(['body', 'request', 'answer'] as const)(
      'before or after the %s of parts sends those parts again',
      async (lose) => {
        server.fault = ({ operation, times }) =>
          operation === 'UploadPart' && times <= 2 ? { lose } : undefined
        await store.put('a', bodyOfBytes(large))
        expect((await bytesOf(await store.get('a'))).equals(large)).toBe(true)
        expect(server.counts.UploadPart).toBe(5)
        expect(server.bucket.uploads.size).toBe(0)
      },
    )

    it('after an upload was completed is seen by the object it made', async () => {
      failOnce('CompleteMultipartUpload', { lose: 'answer' })
      await store.put('a', bodyOfBytes(large))
      expect(server.counts).toMatchObject({ CompleteMultipartUpload: 2, HeadObject: 1 })
      expect((await bytesOf(await store.get('a'))).equals(large)).toBe(true)
    })

    it('in the middle of an object costs one range, not what was read before', async () => {
      await store.put('a', bodyOfBytes(large))
      const cut = new Set<string>()
      server.fault = ({ operation, headers: { range = '' } }) => {
        if (operation !== 'GetObject' || cut.has(range)) return undefined
        cut.add(range)
        return { cutAfterBytes: 4 * MIB - 1 }
      }
      expect((await bytesOf(await store.get('a'))).equals(large)).toBe(true)
      // The last range is shorter than what is let through of each.
      expect(server.counts.GetObject).toBe(3 + 2)
    })

    it.each([
      ['DeleteObjects', () => store.delete(['a'])],
      ['ListObjectsV2', async () => expect(await keysOf(store, 'b')).toEqual(['b'])],
    ] as const)('after a %s costs a repetition', async (operation, run) => {
      await store.put('a', text('x'))
      await store.put('b', text('x'))
      failOnce(operation, { lose: 'answer' })
      await run()
      expect(server.counts[operation]).toBe(2)
    })
  })

  describe('an answer that is late', () => {
    it('is waited for a limited time, then asked for again', async () => {
      const never = new Promise<void>(() => undefined)
      server.fault = ({ times }) => {
        if (times > 1) return undefined
        setImmediate(() => clock.timeOut())
        return { until: never }
      }
      await store.put('a', text('x'))
      expect(server.counts).toEqual({ PutObject: 2 })
    })

    it('each time fails the call', async () => {
      const never = new Promise<void>(() => undefined)
      server.fault = () => {
        setImmediate(() => clock.timeOut())
        return { until: never }
      }
      await expect(create('a', 'x')).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
        message: expect.stringMatching(/after 6 attempts \(TimeoutError\)/),
      })
      expect(server.counts).toEqual({ PutObject: 6 })
    })
  })

  describe('O4: create-only', () => {
    it('is our success when the answer to our own first attempt was lost', async () => {
      failOnce('PutObject', { lose: 'answer' })
      expect(await create('a', 'ours')).toBe(true)
      expect(server.counts).toEqual({ PutObject: 2, HeadObject: 1 })
      expect(await create('a', 'ours')).toBe(false)
    })

    it('is not our success when another writer was first, with the same bytes too', async () => {
      server.fault = ({ operation, times }) => {
        if (operation !== 'PutObject' || times > 1) return undefined
        server.bucket.put('a', Buffer.from('same'), {})
        return { lose: 'request' }
      }
      expect(await create('a', 'same')).toBe(false)
    })

    it('is asked for again at 409, which says nothing', async () => {
      server.fault = ({ times }) =>
        times <= 2 ? { answer: { status: 409, code: 'ConditionalRequestConflict' } } : undefined
      expect(await create('a', 'x')).toBe(true)
      expect(server.counts).toEqual({ PutObject: 3 })
    })

    it('has one winner of 16, with lost and late answers and conflicts among them', async () => {
      for (let round = 0; round < 10; round++) {
        const key = `race/${round}`
        server.fault = ({ operation, times }) => {
          if (operation !== 'PutObject') return undefined
          if (times % 5 === 1) return { lose: 'answer' }
          return times % 7 === 0
            ? { until: new Promise((resolve) => setImmediate(resolve)) }
            : undefined
        }
        const writers = Array.from({ length: 16 }, (_, writer) => `writer ${writer}`)
        const won = await Promise.all(writers.map((writer) => create(key, writer)))
        expect(won.filter(Boolean).length).toBe(1)
        expect(await readText(store, key)).toBe(writers[won.indexOf(true)])
      }
    })
  })

  describe('deleting many', () => {
    const keys = ['a', 'b', 'c', 'd']
    beforeEach(async () => {
      for (const key of keys) await store.put(key, text(key))
      server.seen.length = 0
    })

    it('asks again for the keys alone that the server failed on', async () => {
      failOnce('DeleteObjects', { refusedKeys: { b: 'InternalError', d: 'SlowDown' } })
      await store.delete(keys)
      expect(server.counts).toEqual({ DeleteObjects: 2 })
      expect(await keysOf(store, '')).toEqual([])
    })

    it('fails for a key that may not be deleted, although the answer is 200', async () => {
      server.fault = () => ({ refusedKeys: { c: 'AccessDenied' } })
      await expect(store.delete(keys)).rejects.toMatchObject({
        code: 'STORAGE_ACCESS_DENIED',
        message: expect.stringMatching(/delete 4 objects.*s3:DeleteObject/),
      })
      expect(await keysOf(store, '')).toEqual(['c'])
    })

    it('goes in thousands', async () => {
      await store.delete(Array.from({ length: 2001 }, (_, index) => `never/${index}`))
      expect(server.counts).toEqual({ DeleteObjects: 3 })
    })
  })

  describe('an abort', () => {
    it('ends a pause', async () => {
      const controller = new AbortController()
      server.fault = ({ times }) => {
        if (times === 3) controller.abort()
        return slowDown
      }
      const put = store.put('a', text('x'), { signal: controller.signal })
      await expect(put).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
      expect(server.counts).toEqual({ PutObject: 3 })
    })

    it.each([
      ['put', (signal: AbortSignal) => store.put('a', text('x'), { signal })],
      [
        'putIfAbsent',
        (signal: AbortSignal) => store.putIfAbsent('a', Buffer.from('x'), { signal }),
      ],
      ['get', (signal: AbortSignal) => store.get('a', { signal })],
      ['delete', (signal: AbortSignal) => store.delete(['a'], { signal })],
      ['list', (signal: AbortSignal) => firstOf(store.list('', { signal }))],
      ['listUnfinished', (signal: AbortSignal) => firstOf(store.listUnfinished({ signal }))],
      ['discardUnfinished', (signal: AbortSignal) => store.discardUnfinished(['x\na'], { signal })],
    ])('ends the waiting of %s for an answer', async (_, run) => {
      const controller = new AbortController()
      server.fault = () => {
        setImmediate(() => controller.abort())
        return { until: new Promise<void>(() => undefined) }
      }
      await expect(run(controller.signal)).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
      expect(server.seen.length).toBe(1)
    })
  })

  describe('a server that does not get on', () => {
    it.each(['ListObjectsV2', 'ListMultipartUploads'] as const)(
      'with %s ends the listing with STORAGE_UNSUITABLE',
      async (operation) => {
        const stuck = await S3Server.start({ stuckListings: true })
        const other = await S3ObjectStore.open(storeOptionsOf(stuck, clock))
        const listing = operation === 'ListObjectsV2' ? other.list('') : other.listUnfinished()
        await expect(firstOf(listing)).rejects.toMatchObject({
          code: 'STORAGE_UNSUITABLE',
          message: expect.stringContaining('does not get on'),
        })
        other.close()
        await stuck.stop()
      },
    )

    it.each([
      ['ListObjectsV2', '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>'],
      [
        'ListMultipartUploads',
        '<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>',
      ],
    ])('with %s is no end of the listing', async (operation, body) => {
      server.fault = () => ({ body })
      const listing = operation === 'ListObjectsV2' ? store.list('') : store.listUnfinished()
      await expect(firstOf(listing)).rejects.toMatchObject({
        code: 'STORAGE_UNSUITABLE',
        message: expect.stringContaining('does not get on'),
      })
    })

    it('in deleting is asked for all keys again when it does not say which it refused', async () => {
      for (const key of ['a', 'b']) await store.put(key, text(key))
      failOnce('DeleteObjects', { refusedKeys: { a: 'InternalError' }, hidesRefusedKeys: true })
      await store.delete(['a', 'b'])
      expect(await keysOf(store, '')).toEqual([])
    })
  })

  describe('an answer of status 200 that is no listing', () => {
    const bodies = [
      ['nothing', ''],
      ['a page', '<!doctype html><html><body><div id="root"></div></body></html>'],
      ['an error', '<Error><Code>InternalError</Code><Message>Injected.</Message></Error>\n'],
    ] as const
    const listings = [
      ['ListObjectsV2', () => store.list('')],
      ['ListMultipartUploads', () => store.listUnfinished()],
    ] as const
    const cases = bodies.flatMap(([what, body]) =>
      listings.map(([operation, list]) => [what, operation, body, list] as const),
    )
    it.each(cases)('%s for %s, is no empty one', async (_, operation, body, list) => {
      server.fault = () => ({ body })
      await expect(firstOf(list())).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
        message: expect.stringMatching(/after 6 attempts \(UnexpectedAnswer\).*endpoint/),
      })
      expect(server.counts).toEqual({ [operation]: 6 })
    })

    it('is asked for again', async () => {
      await store.put('a', text('x'))
      failOnce('ListObjectsV2', { body: '' })
      expect(await keysOf(store, '')).toEqual(['a'])
    })
  })

  it('a clock that is wrong is set right by the time in the answer', async () => {
    const skewed = await S3ObjectStore.open({
      ...storeOptionsOf(server, clock),
      clientOptions: { ...clientOptionsOf(server), systemClockOffset: 3_600_000 },
    })
    await skewed.put('a', text('x'))
    expect(await readText(store, 'a')).toBe('x')
    skewed.close()
  })

  it('an upload that is discarded under a put fails it', async () => {
    server.fault = ({ operation }) => {
      if (operation === 'CompleteMultipartUpload') server.bucket.uploads.clear()
      return undefined
    }
    await expect(store.put('a', bodyOfBytes(large))).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      details: { s3Code: 'NoSuchUpload' },
    })
    expect(server.bucket.objects.size).toBe(0)
  })

  it('a listing goes on after a page that failed', async () => {
    const keys = Array.from({ length: 10 }, (_, index) => `k${index}`)
    for (const key of keys) await store.put(key, text(key))
    server.seen.length = 0
    server.fault = ({ times }) => (times % 2 === 0 ? slowDown : undefined)
    expect(await keysOf(store, '')).toEqual(keys)
    expect(server.counts).toEqual({ ListObjectsV2: 7 })
  })
})

it('S3ObjectStore refuses a server that ignores ranges', async () => {
  const server = await S3Server.start({ ignoreRanges: true })
  const store = await S3ObjectStore.open(storeOptionsOf(server, new HastyClock()))
  await store.put('a', text('0123456789'))
  const range = { offset: 3, length: 2 }
  await expect(store.get('a', { range })).rejects.toMatchObject({ code: 'STORAGE_UNSUITABLE' })
  store.close()
  await server.stop()
})

async function firstOf(items: AsyncIterable<unknown>): Promise<unknown> {
  for await (const item of items) return item
  return undefined
}
