/** Where state lives once it is written, and the check that what comes back is what was written. */
import { createHash } from 'node:crypto'
import { StateBackendError } from '../errors.js'

/**
 * Where state lives once written. Plain data: it survives JSON and a process boundary. `sha256` is
 * in lower-case hexadecimal. `location` is relative to the job's folder in the store.
 */
export type StreamStateHandle =
  | {
      readonly kind: 'object'
      readonly location: string
      readonly sizeBytes: number
      readonly sha256: string
    }
  | {
      readonly kind: 'inline'
      /** Base64. */
      readonly data: string
      readonly sizeBytes: number
      readonly sha256: string
    }

/**
 * The chunks of `source`, passed on while they are counted and hashed. `OBJECT_DAMAGED`, naming
 * `name`, as soon as there are too many, and at the end when they are too few or others than the
 * handle's: so only who has read to the end has verified state.
 */
export async function* verifiedChunks(
  name: string,
  handle: StreamStateHandle,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of source) {
    sizeBytes += chunk.length
    if (sizeBytes > handle.sizeBytes) throw damaged(name, `has more than ${handle.sizeBytes} bytes`)
    hash.update(chunk)
    yield chunk
  }
  if (sizeBytes !== handle.sizeBytes) {
    throw damaged(name, `has ${sizeBytes} bytes instead of ${handle.sizeBytes}`)
  }
  const sha256 = hash.digest('hex')
  if (sha256 !== handle.sha256) {
    throw damaged(name, `has SHA-256 ${sha256} instead of ${handle.sha256}`)
  }
}

function damaged(name: string, how: string): StateBackendError {
  return new StateBackendError(
    'OBJECT_DAMAGED',
    `${name} is damaged: it ${how}. Restore another checkpoint, and check the storage: what else it holds may have suffered too.`,
    { details: { object: name } },
  )
}
