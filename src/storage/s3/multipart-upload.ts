/**
 * The way of a body into S3: one request, or parts of one upload.
 *
 * M1 The body is read once, from its start to its end, and cut into parts; a part is held in memory
 *    until S3 has it, so every attempt sends the same bytes, those that were read.
 * M2 Parts held in memory are limited over all puts of a store, and sent in parallel.
 * M3 Nothing is published before the body came to its end with the size it promised: a single
 *    request starts after that, and an upload is completed after that.
 * M4 An upload that fails is aborted once none of its parts is on the way any more, since a part
 *    that arrives later would stay and be paid for. What even that leaves is an unfinished upload.
 *
 * S3's rules: parts of 5 MiB or more but for the last, at most 10,000 of them.
 */
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3'
import { assert } from '../../common/assert.js'
import { mapLimit, throwIfAborted } from '../../common/concurrency.js'
import { Limiter } from '../../common/limiter.js'
import type { ObjectBody } from '../object-body.js'
import { partsOf, payloadHash, type Part } from './object-parts.js'
import { failureOf } from './s3-failure.js'
import type { S3Requests } from './s3-requests.js'

/** Parts of one put on their way: more of them share the same line. */
const partsInFlightMax = 4
/** Parts, or whole objects that go up in one request, that all puts of a store hold in memory. */
const partsInMemoryMax = 8
/** S3's. */
const partsMax = 10_000
/** With one part more than a single request costs, an upload costs three. */
const singleRequestPartsMax = 2

/** User metadata of an object: which write made it. S3 keeps it beside the bytes. */
export const writeIdKey = 'lsb-write-id'

const atBuild = { step: 'build', name: 'payloadHash' } as const

export class Uploader {
  readonly #requests: S3Requests
  readonly #partSizeBytes: number
  readonly #memory = new Limiter(partsInMemoryMax)

  constructor(requests: S3Requests, partSizeBytes: number) {
    this.#requests = requests
    this.#partSizeBytes = partSizeBytes
  }

  async put(key: string, body: ObjectBody, signal: AbortSignal | undefined): Promise<void> {
    if (body.sizeBytes <= singleRequestPartsMax * this.#partSizeBytes) {
      return this.#memory.run(() => this.#putWhole(key, body, signal), signal)
    }
    const least = Math.ceil(body.sizeBytes / partsMax)
    await this.#putInParts(key, body, Math.max(this.#partSizeBytes, least), signal)
  }

  async #putWhole(key: string, body: ObjectBody, signal: AbortSignal | undefined): Promise<void> {
    let whole: Part | undefined
    for await (const part of partsOf(key, body, body.sizeBytes, signal)) whole = part
    const { client, bucket: Bucket } = this.#requests
    // Sent twice it stores the same bytes twice.
    await this.#requests.run(
      { doing: 'put', key, sizeBytes: body.sizeBytes },
      (abortSignal) => {
        const Body = whole?.bytes ?? Buffer.alloc(0)
        const command = new PutObjectCommand({ Bucket, Key: key, Body })
        if (whole !== undefined) command.middlewareStack.add(payloadHash(whole), atBuild)
        return client.send(command, { abortSignal })
      },
      signal,
    )
  }

  async #putInParts(
    key: string,
    body: ObjectBody,
    partSizeBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const writeId = randomUUID()
    throwIfAborted(signal)
    const uploadId = await this.#create(key, writeId, signal)
    const parts = partsOf(key, body, partSizeBytes, signal)
    try {
      const partCount = Math.ceil(body.sizeBytes / partSizeBytes)
      const sent = await this.#sendParts(key, uploadId, parts, partCount, signal)
      const end = await parts.next()
      assert(end.done === true, 'a body of the promised size has no part left', { key })
      throwIfAborted(signal)
      await this.#complete(key, uploadId, writeId, sent, signal)
    } catch (error) {
      await this.#abort(key, uploadId)
      throw error
    } finally {
      await parts.return(undefined)
    }
  }

  /** Sent twice it begins two uploads; the one we never hear of is left unfinished. */
  async #create(key: string, writeId: string, signal: AbortSignal | undefined): Promise<string> {
    const { client, bucket: Bucket } = this.#requests
    const command = { Bucket, Key: key, Metadata: { [writeIdKey]: writeId } }
    const { UploadId } = await this.#requests.run(
      { doing: 'begin an upload of', key },
      (abortSignal) => client.send(new CreateMultipartUploadCommand(command), { abortSignal }),
      signal,
    )
    assert(UploadId !== undefined, 'S3 names every upload', { key })
    return UploadId
  }

  async #sendParts(
    key: string,
    uploadId: string,
    parts: AsyncGenerator<Part, void, undefined>,
    partCount: number,
    signal: AbortSignal | undefined,
  ): Promise<CompletedPart[]> {
    const turns = Array.from({ length: partCount }, (_, turn) => turn)
    const sent = await mapLimit(
      turns,
      partsInFlightMax,
      (_turn, running) =>
        this.#memory.run(async () => {
          // A generator serves concurrent calls one after another, in the order of the body.
          const { value: part } = await parts.next()
          return part === undefined ? undefined : this.#sendPart(key, uploadId, part, running)
        }, running),
      signal,
    )
    return sent
      .filter((part) => part !== undefined)
      .sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0))
  }

  /** Sent twice it replaces itself. */
  async #sendPart(
    key: string,
    uploadId: string,
    part: Part,
    signal: AbortSignal,
  ): Promise<CompletedPart> {
    const { client, bucket: Bucket } = this.#requests
    const { number, bytes } = part
    const input = { Bucket, Key: key, UploadId: uploadId, PartNumber: number, Body: bytes }
    const { ETag } = await this.#requests.run(
      { doing: `upload part ${number} of`, key, sizeBytes: bytes.length },
      (abortSignal) => {
        const command = new UploadPartCommand(input)
        command.middlewareStack.add(payloadHash(part), atBuild)
        return client.send(command, { abortSignal })
      },
      signal,
    )
    return { PartNumber: number, ETag }
  }

  /**
   * When only the answer was lost, a second attempt may find no such upload: then the object under
   * the key tells whether it is ours.
   */
  async #complete(
    key: string,
    uploadId: string,
    writeId: string,
    parts: CompletedPart[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { client, bucket: Bucket } = this.#requests
    const command = { Bucket, Key: key, UploadId: uploadId, MultipartUpload: { Parts: parts } }
    let attempts = 0
    await this.#requests.run(
      { doing: 'complete the upload of', key },
      async (abortSignal) => {
        attempts++
        try {
          await client.send(new CompleteMultipartUploadCommand(command), { abortSignal })
        } catch (error) {
          if (attempts === 1 || failureOf(error).code !== 'NoSuchUpload') throw error
          if ((await writeIdOf(this.#requests, key, abortSignal)) !== writeId) throw error
        }
      },
      signal,
    )
  }

  /** Never fails: the put's own failure is the one to report. Not under the put's signal: see M4. */
  async #abort(key: string, uploadId: string): Promise<void> {
    await abortUpload(this.#requests, key, uploadId, undefined).catch(() => undefined)
  }
}

/** Absent is fine. Sent twice it finds nothing. */
export async function abortUpload(
  requests: S3Requests,
  key: string,
  uploadId: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { client, bucket: Bucket } = requests
  const command = { Bucket, Key: key, UploadId: uploadId }
  await requests.run(
    { doing: 'abort the upload of', key },
    async (abortSignal) => {
      try {
        await client.send(new AbortMultipartUploadCommand(command), { abortSignal })
      } catch (error) {
        if (failureOf(error).code !== 'NoSuchUpload') throw error
      }
    },
    signal,
  )
}

/**
 * Which write made the object under `key`: undefined when it does not say, or when there is none.
 * For use within an attempt: fails as the SDK does.
 */
export async function writeIdOf(
  { client, bucket: Bucket }: S3Requests,
  key: string,
  abortSignal: AbortSignal,
): Promise<string | undefined> {
  try {
    const { Metadata } = await client.send(new HeadObjectCommand({ Bucket, Key: key }), {
      abortSignal,
    })
    return Metadata?.[writeIdKey]
  } catch (error) {
    if (failureOf(error).status === 404) return undefined
    throw error
  }
}
