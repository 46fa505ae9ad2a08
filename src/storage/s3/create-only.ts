/**
 * Create-only puts: `If-None-Match: *`, and the proof that a store keeps it.
 *
 * N1 Every create-only put carries an id of its own in the object's metadata. When S3 says the
 *    object exists, that id tells whether it was made by an earlier attempt of this very put, the
 *    answer to which was lost, or by somebody else. Equal bytes would not tell: two writers may want
 *    to write the same.
 * N2 409 means that another request for the key is under way, not that the object exists: it is
 *    asked again until S3 says 200 or 412.
 */
import { randomUUID } from 'node:crypto'
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { StateBackendError } from '../../errors.js'
import { writeIdKey, writeIdOf } from './multipart-upload.js'
import { failureOf } from './s3-failure.js'
import type { S3Requests } from './s3-requests.js'

/** What a server does about the condition of a create-only put; 'refused': it takes no put that has one. */
export type CreateOnlySupport = 'kept' | 'ignored' | 'refused'

/** Resolves to whether this call made the object. Without the condition, it does whatever is there. */
export async function createOnly(
  requests: S3Requests,
  key: string,
  bytes: Uint8Array,
  { condition = true, signal }: { condition?: boolean; signal: AbortSignal | undefined },
): Promise<boolean> {
  const { client, bucket: Bucket } = requests
  const writeId = randomUUID()
  const command = {
    Bucket,
    Key: key,
    Body: bytes,
    ...(condition ? { IfNoneMatch: '*' } : {}),
    Metadata: { [writeIdKey]: writeId },
  }
  return requests.run(
    { doing: 'create', key, sizeBytes: bytes.length },
    async (abortSignal) => {
      try {
        await client.send(new PutObjectCommand(command), { abortSignal })
        return true
      } catch (error) {
        const { code, status } = failureOf(error)
        if (code !== 'PreconditionFailed' && status !== 412) throw error
        return (await writeIdOf(requests, key, abortSignal)) === writeId
      }
    },
    signal,
  )
}

/**
 * Makes an object at a name of its own below `prefix` twice, and deletes it. Three requests and a look at what the second one met.
 * `STORAGE_ACCESS_DENIED` and the like where the store cannot be used at all.
 */
export async function probeCreateOnly(
  requests: S3Requests,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<CreateOnlySupport> {
  // A name that starts with a dot is no key: no job can have it, and no list shows it.
  const key = `${prefix}.probe-${randomUUID()}`
  const bytes = new Uint8Array(1)
  try {
    await createOnly(requests, key, bytes, { signal })
  } catch (error) {
    if (isNotImplemented(error)) return 'refused'
    throw error
  }
  const overwritten = await createOnly(requests, key, bytes, { signal })
  await requests.run(
    { doing: 'delete', key },
    (abortSignal) =>
      requests.client.send(new DeleteObjectCommand({ Bucket: requests.bucket, Key: key }), {
        abortSignal,
      }),
    signal,
  )
  return overwritten ? 'ignored' : 'kept'
}

function isNotImplemented(error: unknown): boolean {
  return error instanceof StateBackendError && error.details['httpStatus'] === 501
}

export function createOnlyMissing(
  support: Exclude<CreateOnlySupport, 'kept'>,
  description: string,
): StateBackendError {
  const does = support === 'refused' ? 'stores nothing when' : 'overwrites an object although'
  return new StateBackendError(
    'STORAGE_UNSUITABLE',
    `The server of ${description} ${does} it is asked to create it only (If-None-Match: *), so two attempts of a job could both ` +
      'publish a checkpoint. Use a server that honours it. For a job that surely never has two attempts at once there is the option ' +
      "createOnly: 'preferred'.",
  )
}
