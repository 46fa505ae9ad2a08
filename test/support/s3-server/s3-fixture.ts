/** A stand-in server and what its tests need: stores on it, and time that makes nobody wait. */
import {
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import type { Clock } from '../../../src/common/clock.js'
import type { S3ObjectStoreOptions } from '../../../src/storage/s3/s3-object-store.js'
import type { S3Server } from './s3-server.js'

/** Pauses end at once, and are told; waits for an answer last until `timeOut` is called. */
export class HastyClock implements Clock {
  readonly pausesMs: number[] = []
  readonly #timers = new Set<() => void>()
  /** No pause is this long, no attempt's time shorter. */
  static readonly attemptTimeoutMinMs = 30_000

  monotonicMs(): number {
    return 0
  }

  wallClockMs(): number {
    return 0
  }

  async nextTurn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    if (durationMs < HastyClock.attemptTimeoutMinMs) {
      this.pausesMs.push(durationMs)
      return this.nextTurn()
    }
    await new Promise<void>((resolve) => {
      this.#timers.add(resolve)
      signal?.addEventListener('abort', () => this.#timers.delete(resolve), { once: true })
    })
  }

  /** The time of all attempts that are running is over. */
  timeOut(): void {
    for (const timer of this.#timers) timer()
  }
}

export function clientOptionsOf(server: S3Server): S3ClientConfig {
  const { endpoint, credentials } = server
  return { endpoint, credentials, region: 'us-east-1' }
}

export function storeOptionsOf(server: S3Server, clock: Clock): S3ObjectStoreOptions {
  return {
    bucket: server.bucketName,
    clientOptions: clientOptionsOf(server),
    clock,
    // Whole pauses, so that a test sees their bounds.
    random: { next: () => 1 },
  }
}

/** Begins an upload of `key` and sends `sizeBytes` of it, as a process does that is killed then. */
export async function leaveUpload(
  config: S3ClientConfig,
  Bucket: string,
  Key: string,
  sizeBytes: number,
): Promise<void> {
  const client = new S3Client(config)
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
  if (sizeBytes > 0) {
    const Body = Buffer.alloc(sizeBytes)
    const part = { Bucket, Key, UploadId, PartNumber: 1, Body }
    await client.send(new UploadPartCommand(part))
  }
  client.destroy()
}
