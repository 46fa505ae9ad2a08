/**
 * Deleting objects, a thousand a request. S3 answers 200 also where single keys were refused: those
 * are failures like any other, and only they are tried again.
 */
import { DeleteObjectsCommand, type _Error } from '@aws-sdk/client-s3'
import { mapLimit } from '../../common/concurrency.js'
import type { S3Requests } from './s3-requests.js'

/** S3's limit of a DeleteObjects request. */
const keysPerRequestMax = 1000
/** A request of a thousand keys takes a server long; more at once get throttled. */
const requestsInFlightMax = 4

/** Keys as in the bucket; absent ones are fine. */
export async function deleteObjects(
  requests: S3Requests,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const unique = [...new Set(keys)]
  const batches = Array.from({ length: Math.ceil(unique.length / keysPerRequestMax) }, (_, index) =>
    unique.slice(index * keysPerRequestMax, (index + 1) * keysPerRequestMax),
  )
  await mapLimit(
    batches,
    requestsInFlightMax,
    (batch, running) => deleteBatch(requests, batch, running),
    signal,
  )
}

async function deleteBatch(
  requests: S3Requests,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  let left = keys
  const name = keys.length === 1 ? { key: keys[0] } : {}
  await requests.run(
    { doing: keys.length === 1 ? 'delete' : `delete ${keys.length} objects`, ...name },
    async (abortSignal) => {
      const objects = left.map((Key) => ({ Key }))
      const command = { Bucket: requests.bucket, Delete: { Objects: objects, Quiet: true } }
      const { Errors = [] } = await requests.client.send(new DeleteObjectsCommand(command), {
        abortSignal,
      })
      const refused = Errors.filter(({ Code }) => Code !== 'NoSuchKey')
      const [first] = refused
      if (first === undefined) return
      const named = refused.flatMap(({ Key }) => Key ?? [])
      // A server that does not say which ones is asked for all of them again.
      if (named.length === refused.length) left = named
      throw new KeyRefused(first, refused.length)
    },
    signal,
  )
}

/** Classified by its code, as if it had been the answer. */
class KeyRefused extends Error {
  readonly code: string
  readonly $metadata: { readonly httpStatusCode: number | undefined }

  constructor({ Code = 'Unknown', Key = '', Message = '' }: _Error, refused: number) {
    super(`${refused} keys were refused, one of them ${Key}: ${Message}`)
    this.code = Code
    this.$metadata = { httpStatusCode: Code === 'AccessDenied' ? 403 : undefined }
  }
}
