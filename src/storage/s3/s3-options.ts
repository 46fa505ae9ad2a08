/** What an `S3ObjectStore` is opened with, and the ranges of that. */
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import type { Clock } from '../../common/clock.js'
import type { Random } from '../../common/random.js'
import { StateBackendError } from '../../errors.js'
import { checkKey } from '../object-key.js'

/** S3's least for a part that is not the last. */
const partSizeMinBytes = 5 * 1024 * 1024
/** Beyond some megabytes a part gains no speed, only memory. */
const partSizeDefaultBytes = 8 * 1024 * 1024
const partSizeMaxBytes = 64 * 1024 * 1024

export interface S3ObjectStoreOptions {
  readonly bucket: string
  /** A path, 'team/jobs', that all keys are below of; none by default. */
  readonly prefix?: string | undefined
  /**
   * A client of the caller's own, who also destroys it. Its own retries come on top of the store's:
   * give it `maxAttempts: 1`.
   */
  readonly client?: S3Client | undefined
  /**
   * For a client that the store makes, and destroys at `close`; not beside `client`. Everything the
   * SDK takes: `endpoint`, `region`, `credentials`, `requestChecksumCalculation` … What is left out
   * the SDK takes from its usual environment variables and files. With an `endpoint`,
   * `forcePathStyle` is true unless it says otherwise.
   */
  readonly clientOptions?: S3ClientConfig | undefined
  /**
   * Of the parts of a large object, on the way up and down, 5 to 64 MiB; 8 MiB by default. An object
   * of up to two parts goes up in one request. At most eight parts, or whole objects of up to two, are
   * held in memory for uploads, and four parts for each reading.
   */
  readonly partSizeBytes?: number | undefined
  /**
   * What `open` does about create-only puts (`If-None-Match: *`), which a job's checkpoints rest on.
   * - 'required', the default: proves that the server honours them, or fails with
   *   `STORAGE_UNSUITABLE`;
   * - 'preferred': tries the same. With a server that honours them the store is no other than with
   *   'required'. With one that ignores or refuses them it is without `supports.conditionalPut`, and
   *   its `putIfAbsent` looks before it puts: right for one writer after another, and not for two at
   *   once;
   * - 'unproven': tries nothing, so that nothing is written when the store is opened; for tools that
   *   only read and delete. The store is without `supports.conditionalPut`, and its `putIfAbsent`
   *   looks, and then asks to create only: where the server honours that, it is right for any
   *   writers; where the server refuses it, it is `STORAGE_FAILED`.
   */
  readonly createOnly?: 'required' | 'preferred' | 'unproven' | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
  /** Ends the opening. */
  readonly signal?: AbortSignal | undefined
}

/** The prefix as it stands before keys: '' or ending with '/'. A slash at its end is fine. */
export function checkedPrefix(prefix: string): string {
  const folder = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  if (folder === '' && prefix === '') return ''
  checkKey(folder)
  return `${folder}/`
}

export function checkedPartSize(partSizeBytes: number = partSizeDefaultBytes): number {
  if (
    Number.isSafeInteger(partSizeBytes) &&
    partSizeBytes >= partSizeMinBytes &&
    partSizeBytes <= partSizeMaxBytes
  ) {
    return partSizeBytes
  }
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `partSizeBytes is ${partSizeBytes}. Give an integer from ${partSizeMinBytes} to ${partSizeMaxBytes}, or leave it out.`,
  )
}

export function checkClientOptions({ bucket, client, clientOptions }: S3ObjectStoreOptions): void {
  if (bucket === '') {
    throw new StateBackendError('INVALID_ARGUMENT', 'The bucket has no name. Give its name.')
  }
  if (client === undefined || clientOptions === undefined) return
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    'Both client and clientOptions are given. Give a client, or the options for one.',
  )
}
