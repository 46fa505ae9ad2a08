/**
 * Objects in a bucket of S3, or of a server that speaks its protocol; below a prefix, so that a
 * bucket can hold several stores.
 *
 * Here is the contract: keys, prefixes, listings. How bytes go up is in `multipart-upload.ts`, how
 * they come down in `ranged-download.ts`, create-only in `create-only.ts`, and sending, repeating
 * and giving up a request in `s3-requests.ts`.
 *
 * O2 and O4 are the server's promises. Create-only is proven when the store is opened; that a put
 * which was answered is durable cannot be.
 */
import { Buffer } from 'node:buffer'
import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { assert } from '../../common/assert.js'
import { systemClock } from '../../common/clock.js'
import { mapLimit, throwIfAborted } from '../../common/concurrency.js'
import { systemRandom } from '../../common/random.js'
import { StateBackendError } from '../../errors.js'
import { checkKey, checkPrefix, keyMaxBytes } from '../object-key.js'
import {
  checkRange,
  type ObjectBody,
  type ObjectGetOptions,
  type ObjectInfo,
  type ObjectStore,
  type ObjectStoreOptions,
  type UnfinishedUpload,
} from '../object-store.js'
import {
  createOnly,
  createOnlyMissing,
  probeCreateOnly,
  type CreateOnlySupport,
} from './create-only.js'
import { deleteObjects } from './delete-objects.js'
import { listObjects, listUploads, parseUploadId } from './list-objects.js'
import { abortUpload, Uploader } from './multipart-upload.js'
import { Downloader } from './ranged-download.js'
import { createClient, describeBucket } from './s3-client.js'
import { failureOf } from './s3-failure.js'
import {
  checkClientOptions,
  checkedPartSize,
  checkedPrefix,
  type S3ObjectStoreOptions,
} from './s3-options.js'
import { S3Requests } from './s3-requests.js'

export type { S3ObjectStoreOptions } from './s3-options.js'

/** Uploads discarded at a time: a request each. */
const abortsInFlightMax = 8

export class S3ObjectStore implements ObjectStore {
  readonly description: string
  readonly supports: { readonly conditionalPut: boolean }
  readonly #requests: S3Requests
  /** '' or ends with '/'. */
  readonly #prefix: string
  /** 'unproven': not asked. */
  readonly #createOnly: CreateOnlySupport | 'unproven'
  readonly #ownClient: S3Client | undefined
  readonly #uploader: Uploader
  readonly #downloader: Downloader

  private constructor(
    requests: S3Requests,
    prefix: string,
    partSizeBytes: number,
    createOnlySupport: CreateOnlySupport | 'unproven',
    ownClient: S3Client | undefined,
  ) {
    this.description = requests.description
    this.supports = { conditionalPut: createOnlySupport === 'kept' }
    this.#createOnly = createOnlySupport
    this.#requests = requests
    this.#prefix = prefix
    this.#ownClient = ownClient
    this.#uploader = new Uploader(requests, partSizeBytes)
    this.#downloader = new Downloader(requests, partSizeBytes)
  }

  /**
   * Resolves when the bucket is there, may be written to and deleted from, and honours create-only:
   * it makes a small object below the prefix twice and deletes it. `STORAGE_UNSUITABLE` when it does
   * not, `STORAGE_ACCESS_DENIED` without the permissions, `STORAGE_FAILED` when there is no such
   * bucket or no answer, `INVALID_ARGUMENT` for options out of their range.
   */
  static async open(options: S3ObjectStoreOptions): Promise<S3ObjectStore> {
    checkClientOptions(options)
    const { bucket, clientOptions = {}, clock = systemClock, random = systemRandom } = options
    const prefix = checkedPrefix(options.prefix ?? '')
    const partSizeBytes = checkedPartSize(options.partSizeBytes)
    const ownClient = options.client === undefined ? createClient(clientOptions) : undefined
    const client = options.client ?? ownClient
    assert(client !== undefined, 'a store has a client')
    const description = describeBucket(bucket, prefix, clientOptions.endpoint)
    const requests = new S3Requests({ client, bucket, description, clock, random })
    try {
      const { createOnly: wanted = 'required', signal } = options
      const support =
        wanted === 'unproven' ? wanted : await probeCreateOnly(requests, prefix, signal)
      if (wanted === 'required' && (support === 'ignored' || support === 'refused')) {
        throw createOnlyMissing(support, description)
      }
      return new S3ObjectStore(requests, prefix, partSizeBytes, support, ownClient)
    } catch (error) {
      ownClient?.destroy()
      throw error
    }
  }

  /** Ends the connections of a client that the store made; idempotent. No call may follow. */
  close(): void {
    this.#ownClient?.destroy()
  }

  async put(key: string, body: ObjectBody, options: ObjectStoreOptions = {}): Promise<void> {
    await this.#uploader.put(this.#fullKey(key), body, options.signal)
  }

  async putIfAbsent(
    key: string,
    bytes: Uint8Array,
    options: ObjectStoreOptions = {},
  ): Promise<boolean> {
    const fullKey = this.#fullKey(key)
    throwIfAborted(options.signal)
    if (!this.supports.conditionalPut && (await this.#exists(fullKey, options.signal))) return false
    const condition = this.#createOnly !== 'refused'
    return createOnly(this.#requests, fullKey, bytes, { condition, signal: options.signal })
  }

  async #exists(fullKey: string, signal: AbortSignal | undefined): Promise<boolean> {
    return this.#requests.run(
      { doing: 'look for', key: fullKey },
      async (abortSignal) => {
        const command = { Bucket: this.#requests.bucket, Key: fullKey }
        try {
          await this.#requests.client.send(new HeadObjectCommand(command), { abortSignal })
          return true
        } catch (error) {
          if (failureOf(error).status === 404) return false
          throw error
        }
      },
      signal,
    )
  }

  async get(key: string, options: ObjectGetOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    const fullKey = this.#fullKey(key)
    checkRange(options.range)
    throwIfAborted(options.signal)
    return this.#downloader.get({ key, fullKey }, options.range, options.signal)
  }

  list(prefix: string, options: ObjectStoreOptions = {}): AsyncIterable<ObjectInfo> {
    checkPrefix(prefix)
    return listObjects(this.#requests, this.#prefix, prefix, options.signal)
  }

  async delete(keys: readonly string[], options: ObjectStoreOptions = {}): Promise<void> {
    const fullKeys = keys.map((key) => this.#fullKey(key))
    throwIfAborted(options.signal)
    await deleteObjects(this.#requests, fullKeys, options.signal)
  }

  listUnfinished(options: ObjectStoreOptions = {}): AsyncIterable<UnfinishedUpload> {
    return listUploads(this.#requests, this.#prefix, options.signal)
  }

  async discardUnfinished(ids: readonly string[], options: ObjectStoreOptions = {}): Promise<void> {
    const uploads = ids.map(parseUploadId)
    await mapLimit(
      uploads,
      abortsInFlightMax,
      ({ key, uploadId }, running) =>
        abortUpload(this.#requests, this.#fullKey(key), uploadId, running),
      options.signal,
    )
  }

  #fullKey(key: string): string {
    checkKey(key)
    const fullKey = this.#prefix + key
    if (Buffer.byteLength(fullKey) <= keyMaxBytes) return fullKey
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `${JSON.stringify(key)} with the prefix of ${this.description} is longer than the ${keyMaxBytes} bytes that S3 allows. Use a ` +
        'shorter prefix or job id.',
      { details: { key } },
    )
  }
}
