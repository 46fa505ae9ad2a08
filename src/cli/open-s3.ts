/**
 * A location `s3://bucket/prefix` of a command line. The one place that loads `@aws-sdk/client-s3` only when it is asked for, since
 * it may not be installed.
 */
import { errnoOf } from '../common/node-errors.js'
import type { S3ObjectStore, S3ObjectStoreOptions } from '../storage/s3/s3-object-store.js'
import { UsageError } from './usage-error.js'

export interface S3LocationOptions {
  /** Of a server other than Amazon's: 'http://127.0.0.1:9000'. Region and credentials are the SDK's to find. */
  readonly endpoint?: string | undefined
  readonly createOnly?: S3ObjectStoreOptions['createOnly']
}

export function isS3Location(location: string): boolean {
  return /^s3:\/\//i.test(location)
}

/** `UsageError` for a location of another form, and where the SDK is not installed; else as `S3ObjectStore.open`. */
export async function openS3(
  location: string,
  { endpoint, createOnly }: S3LocationOptions = {},
): Promise<S3ObjectStore> {
  const [, bucket, prefix = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/i.exec(location) ?? []
  if (bucket === undefined) {
    throw new UsageError(`${location} names no bucket. Write s3://bucket/prefix.`)
  }
  const Store = await loadStore()
  return Store.open({
    bucket,
    prefix,
    createOnly,
    clientOptions: endpoint === undefined ? {} : { endpoint },
  })
}

async function loadStore(): Promise<typeof S3ObjectStore> {
  try {
    return (await import('../storage/s3/s3-object-store.js')).S3ObjectStore
  } catch (cause) {
    if (errnoOf(cause) !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new UsageError('S3 needs the package @aws-sdk/client-s3. Install it beside this one.', {
      cause,
    })
  }
}
