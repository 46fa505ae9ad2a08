/**
 * The way of an object out of S3: a first range, whose answer tells how much there is, then the
 * others in parallel, given out in their order.
 *
 * A range is received whole before any of it is given out, so an answer that broke off is asked for
 * again unseen. Nothing is held open between ranges: the first one is in memory when `get` resolves,
 * and no further one is asked for before the reader takes it.
 *
 * O1 The ranges of one reading all have the ETag of the first, or the reading fails: an object that
 *    was replaced meanwhile is never mixed with what it was.
 */
import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { assert } from '../../common/assert.js'
import { throwIfAborted } from '../../common/concurrency.js'
import { StateBackendError } from '../../errors.js'
import { fileChunkBytes } from '../object-body.js'
import { objectMissing, type ObjectRange } from '../object-store.js'
import { failureOf, TruncatedResponse } from './s3-failure.js'
import type { S3Requests } from './s3-requests.js'

/** Ranges of one reading that are on their way or wait for the reader: its memory, in ranges. */
const rangesInFlightMax = 4

export interface ObjectName {
  /** For messages, without the store's prefix. */
  readonly key: string
  /** In the bucket. */
  readonly fullKey: string
}

interface ReceivedRange {
  readonly bytes: Buffer
  readonly eTag: string | undefined
  /** Of the whole object. */
  readonly objectBytes: number
}

export class Downloader {
  readonly #requests: S3Requests
  readonly #rangeBytes: number

  constructor(requests: S3Requests, rangeBytes: number) {
    this.#requests = requests
    this.#rangeBytes = rangeBytes
  }

  /** As `ObjectStore.get`. */
  async get(
    name: ObjectName,
    range: ObjectRange | undefined,
    signal: AbortSignal | undefined,
  ): Promise<AsyncIterable<Uint8Array>> {
    const { offset, length } = range ?? { offset: 0, length: Number.MAX_SAFE_INTEGER }
    // S3 has no range without bytes; asking for one byte tells whether the object is there.
    const asked = Math.max(1, Math.min(length, this.#rangeBytes))
    const first = await this.#receive(name, { offset, length: asked }, signal)
    if (first === undefined || length === 0) return chunksOf([], signal)
    const end = Math.min(offset + length, first.objectBytes)
    const rest: ObjectRange[] = []
    for (let at = offset + first.bytes.length; at < end; at += this.#rangeBytes) {
      rest.push({ offset: at, length: Math.min(this.#rangeBytes, end - at) })
    }
    return chunksOf(this.#inOrder(name, first, rest, signal), signal)
  }

  /** Keeps `rangesInFlightMax` ranges ahead of the reader; when it leaves, waits for their end. */
  async *#inOrder(
    name: ObjectName,
    first: ReceivedRange,
    rest: readonly ObjectRange[],
    signal: AbortSignal | undefined,
  ): AsyncIterable<Buffer> {
    const left = new AbortController()
    const leave = (): void => left.abort(signal?.reason)
    signal?.addEventListener('abort', leave, { once: true })
    const ahead: Promise<Buffer>[] = []
    const ranges = rest.values()
    const askForMore = (): void => {
      while (ahead.length < rangesInFlightMax) {
        const next = ranges.next()
        if (next.done === true) return
        const asked = this.#receiveSame(name, next.value, first, left.signal)
        // A failure is met in its turn; until then it must not count as unhandled.
        asked.catch(() => undefined)
        ahead.push(asked)
      }
    }
    try {
      askForMore()
      yield first.bytes
      for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) {
        throwIfAborted(signal)
        const bytes = await next
        askForMore()
        yield bytes
      }
    } finally {
      signal?.removeEventListener('abort', leave)
      left.abort()
      await Promise.allSettled(ahead)
    }
  }

  async #receiveSame(
    name: ObjectName,
    range: ObjectRange,
    first: ReceivedRange,
    signal: AbortSignal,
  ): Promise<Buffer> {
    const received = await this.#receive(name, range, signal)
    if (received?.bytes.length === range.length && received.eTag === first.eTag) {
      return received.bytes
    }
    throw new StateBackendError(
      'STORAGE_FAILED',
      `${name.key} in ${this.#requests.description} was replaced while it was read. Read it again.`,
      { details: { key: name.key } },
    )
  }

  /** Undefined for a range that starts at or past the end of the object. */
  async #receive(
    { key, fullKey }: ObjectName,
    { offset, length }: ObjectRange,
    signal: AbortSignal | undefined,
  ): Promise<ReceivedRange | undefined> {
    const { client, bucket: Bucket, description } = this.#requests
    const Range = `bytes=${offset}-${offset + length - 1}`
    return this.#requests.run(
      { doing: 'read', key: fullKey, sizeBytes: length },
      async (abortSignal) => {
        try {
          const command = new GetObjectCommand({ Bucket, Key: fullKey, Range })
          const output = await client.send(command, { abortSignal })
          return await this.#receiveBody(output, { offset, length }, abortSignal)
        } catch (error) {
          const { code, status } = failureOf(error)
          if (code === 'InvalidRange' || status === 416) return undefined
          if (code === 'NoSuchKey') throw objectMissing(key, description)
          throw error
        }
      },
      signal,
    )
  }

  async #receiveBody(
    { Body: body, ContentRange, ETag }: GetObjectCommandOutput,
    { offset, length }: ObjectRange,
    signal: AbortSignal,
  ): Promise<ReceivedRange> {
    assert(body instanceof Readable, "the SDK's answers are streams of Node")
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(ContentRange ?? '') ?? []
    if (Number(start) !== offset || total === undefined) {
      body.destroy()
      throw ignoresRanges(this.#requests.description)
    }
    const objectBytes = Number(total)
    const bytes = Buffer.allocUnsafeSlow(Math.min(length, objectBytes - offset))
    return { bytes: await fill(bytes, body, signal), eTag: ETag, objectBytes }
  }
}

/** Receives exactly `bytes`. By events: a loop over the stream costs a turn of promises for every 64 KiB. */
async function fill(bytes: Buffer, body: Readable, signal: AbortSignal): Promise<Buffer> {
  const stop = (): void => {
    body.destroy(new TruncatedResponse('the reading was given up'))
  }
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  let received = 0
  body.on('data', (chunk: Buffer) => {
    if (received + chunk.length <= bytes.length) bytes.set(chunk, received)
    received += chunk.length
  })
  try {
    await finished(body)
  } finally {
    signal.removeEventListener('abort', stop)
  }
  if (received === bytes.length) return bytes
  throw new TruncatedResponse(`an answer of ${bytes.length} bytes had ${received}`)
}

function ignoresRanges(description: string): StateBackendError {
  return new StateBackendError(
    'STORAGE_UNSUITABLE',
    `The server of ${description} answers a request for a range of bytes with something else. Use a server that keeps ranges.`,
  )
}

/** Small enough that a reader who hashes or writes them does not hold up the event loop. */
async function* chunksOf(
  ranges: AsyncIterable<Buffer> | readonly Buffer[],
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  throwIfAborted(signal)
  for await (const bytes of ranges) {
    for (let offset = 0; offset < bytes.length; offset += fileChunkBytes) {
      throwIfAborted(signal)
      yield bytes.subarray(offset, offset + fileChunkBytes)
    }
  }
}
