/**
 * What went wrong in a request to S3, by its code and status, and what a person should do about it.
 *
 * Knows nothing of retrying but the kind that decides it. No error of the SDK leaves this package:
 * those carry requests and responses, with signatures and session tokens in their headers. What
 * leaves is an error of our own with the code, the status, the request's id and the server's words.
 */
import { errnoOf } from '../../common/node-errors.js'
import { StateBackendError, type StateBackendErrorCode } from '../../errors.js'

/** Of the server's own words in an error; a page of HTML from a proxy helps nobody. */
const serverWordsMax = 300

/**
 * - `throttled`: the server asks for fewer requests; come back much later.
 * - `transient`: lost, late, broken off, or in conflict with another request; the same may succeed.
 * - `final`: the answer will be the same.
 */
export type S3FailureKind = 'throttled' | 'transient' | 'final'

export interface S3Failure {
  readonly kind: S3FailureKind
  /** S3's error code, Node's errno, or the name of the error. */
  readonly code: string
  readonly status: number | undefined
  readonly requestId: string | undefined
  readonly words: string
}

/** Which request failed: 'put', 'list'; `key` as in the bucket, or undefined for all of it. */
export interface S3RequestName {
  readonly doing: string
  readonly key?: string | undefined
}

const throttled = new Set([
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'RequestLimitExceeded',
  'TooManyRequests',
  'BandwidthLimitExceeded',
])
const transient = new Set([
  // S3's own.
  'InternalError',
  'ServiceUnavailable',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'OperationAborted',
  'ConditionalRequestConflict',
  // Bytes damaged or cut on their way: sent again they may be whole.
  'BadDigest',
  'IncompleteBody',
  'XAmzContentSHA256Mismatch',
  'TruncatedResponse',
  'UnexpectedAnswer',
  // Of the connection.
  'TimeoutError',
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'ENOTFOUND',
  'ERR_STREAM_PREMATURE_CLOSE',
  'HPE_INVALID_CONSTANT',
])
const unreachable = new Set([
  'ECONNREFUSED',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'ENOTFOUND',
])
const badCredentials = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'CredentialsProviderError',
  'TokenRefreshRequired',
])
const wrongRegion = new Set(['PermanentRedirect', 'AuthorizationHeaderMalformed'])
const full = new Set(['QuotaExceeded', 'InsufficientStorage', 'XMinioStorageFull'])

/** Anything thrown by `S3Client.send`, or while a response was read. */
export function failureOf(error: unknown): S3Failure {
  const { httpStatusCode: status, requestId } = metadataOf(error)
  const code = errnoOf(error) ?? (error instanceof Error ? error.name : 'Unknown')
  const words = (error instanceof Error ? error.message : String(error)).slice(0, serverWordsMax)
  return { kind: kindOf(code, status), code, status, requestId, words }
}

function kindOf(code: string, status: number | undefined): S3FailureKind {
  if (throttled.has(code) || status === 429 || (status === 503 && !transient.has(code))) {
    return 'throttled'
  }
  // 409 is a conflict with another request that is under way, whatever a server calls it.
  if (transient.has(code) || status === 409) return 'transient'
  return status !== undefined && status >= 500 && status !== 501 && !full.has(code)
    ? 'transient'
    : 'final'
}

interface ResponseMetadata {
  readonly httpStatusCode?: number | undefined
  readonly requestId?: string | undefined
}

function metadataOf(error: unknown): ResponseMetadata {
  if (!(error instanceof Error) || !('$metadata' in error)) return {}
  return (error.$metadata as ResponseMetadata | undefined) ?? {}
}

/** What was lost on the way: an answer with fewer bytes than it announced. */
export class TruncatedResponse extends Error {
  override readonly name = 'TruncatedResponse'
}

/** Said to be good, and not what was asked for: the page of a proxy or of a server's console, or an error under status 200. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer'
}

/**
 * The error for the caller. `where` describes the store and holds no secret; `attempts` is how
 * often the request was sent.
 */
export function storageError(
  failure: S3Failure,
  request: S3RequestName,
  where: { readonly bucket: string; readonly description: string },
  attempts: number,
): StateBackendError {
  const { code, status, requestId } = failure
  const answer = status === undefined ? code : `${code}, HTTP ${status}`
  const tries = attempts > 1 ? ` after ${attempts} attempts` : ''
  const what = request.key === undefined ? '' : ` ${request.key}`
  const { errorCode, advice } = adviceFor(failure, where.bucket)
  return new StateBackendError(
    errorCode,
    `Cannot ${request.doing}${what} in ${where.description}${tries} (${answer}): ${advice}`,
    {
      cause: new S3AnswerError(failure),
      details: {
        bucket: where.bucket,
        s3Code: code,
        ...(request.key === undefined ? {} : { key: request.key }),
        ...(status === undefined ? {} : { httpStatus: status }),
        ...(requestId === undefined ? {} : { requestId }),
      },
    },
  )
}

/** The SDK's error without what hangs on it. */
class S3AnswerError extends Error {
  override readonly name = 'S3AnswerError'
  readonly code: string
  readonly httpStatusCode: number | undefined
  readonly requestId: string | undefined

  constructor(failure: S3Failure) {
    super(`${failure.code}: ${failure.words}`)
    this.code = failure.code
    this.httpStatusCode = failure.status
    this.requestId = failure.requestId
  }
}

interface Advice {
  readonly errorCode: StateBackendErrorCode
  readonly advice: string
}

function adviceFor({ kind, code, status, words }: S3Failure, bucket: string): Advice {
  const denied = (advice: string): Advice => ({ errorCode: 'STORAGE_ACCESS_DENIED', advice })
  const failed = (advice: string): Advice => ({ errorCode: 'STORAGE_FAILED', advice })
  if (code === 'RequestTimeTooSkewed') {
    return failed(
      "this machine's clock is too far from the server's. Set it, by NTP for instance, then try again.",
    )
  }
  if (badCredentials.has(code)) {
    return denied(
      'the credentials are missing, wrong or expired. Check the access key, its secret and its session token, and that they are ' +
        'those of this endpoint.',
    )
  }
  if (wrongRegion.has(code) || status === 301 || words.startsWith('Region is missing')) {
    return failed(
      'the region is missing or not that of the bucket. Set the right one: AWS_REGION, or the region of the client.',
    )
  }
  if (full.has(code)) {
    return { errorCode: 'DISK_FULL', advice: 'no space is left. Free some or raise the quota.' }
  }
  if (status === 401 || status === 403) {
    return denied(
      `the credentials are known, but not allowed to do this. Grant them s3:GetObject, s3:PutObject, s3:DeleteObject and ` +
        `s3:AbortMultipartUpload on the objects of ${bucket}, s3:ListBucket and s3:ListBucketMultipartUploads on the bucket.`,
    )
  }
  if (code === 'NoSuchBucket') {
    return failed(`there is no bucket ${bucket}. Create it, or correct its name or the endpoint.`)
  }
  if (unreachable.has(code)) {
    return failed(
      'the endpoint cannot be reached. Check its address, that the server runs, and the way to it.',
    )
  }
  if (code === 'UnexpectedAnswer') {
    return failed(
      'the answer is none of S3. Check that the endpoint is that of the storage itself, and what lies between.',
    )
  }
  if (kind === 'throttled') {
    return failed(
      'the server asks for fewer requests. Take checkpoints less often, spread jobs over prefixes, or raise its limits.',
    )
  }
  if (kind === 'transient') {
    return failed('the connection or the server failed. Check both, then try again.')
  }
  return failed(`the server refused: ${words}`)
}
