/** The client of an `S3ObjectStore`, and how a bucket is named to people. */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'

/** To be connected at all; an attempt as a whole is timed by `S3Requests`. */
const connectionTimeoutMs = 10_000
/** Beyond what one store has in flight for two checkpoints and a restore. */
const socketsMax = 64

/**
 * A client with the defaults of this package under `config`: attempts are made by `S3Requests`, so
 * the SDK makes one; checksums beyond the signed SHA-256 of each request are left out, since no
 * S3-like server that we tried checks them and every table has a SHA-256 of its own.
 */
export function createClient(config: S3ClientConfig): S3Client {
  return new S3Client({
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: connectionTimeoutMs,
      httpAgent: { keepAlive: true, maxSockets: socketsMax },
      httpsAgent: { keepAlive: true, maxSockets: socketsMax },
    },
    // Other servers than Amazon's seldom have a DNS name for each bucket.
    ...(config.endpoint === undefined ? {} : { forcePathStyle: true }),
    ...config,
  })
}

/** `s3://bucket/prefix`, and where, without a user and password that an endpoint may carry. */
export function describeBucket(
  bucket: string,
  prefix: string,
  endpoint: S3ClientConfig['endpoint'],
): string {
  const name = `s3://${bucket}${prefix === '' ? '' : `/${prefix.slice(0, -1)}`}`
  if (typeof endpoint !== 'string') return name
  const host = URL.canParse(endpoint) ? new URL(endpoint).host : undefined
  return host === undefined ? name : `${name} at ${host}`
}
