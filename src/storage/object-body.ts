/**
 * Bytes on their way into a store: where they come from, and the check every store runs over them.
 *
 * A body is read as a stream of chunks, so that a table of any size passes through memory a chunk
 * at a time.
 */
import { Buffer } from 'node:buffer'
import { open } from 'node:fs/promises'
import { throwIfAborted } from '../common/concurrency.js'
import { fileSystemError } from '../common/node-errors.js'
import { StateBackendError } from '../errors.js'

/**
 * Read from a file at a time: large enough that the system call's price vanishes, small beside any
 * memory budget.
 */
export const fileChunkBytes: number = 1024 * 1024

/** Bytes to store. */
export interface ObjectBody {
  /** What all chunks together must come to; a store refuses a body that makes more or fewer. */
  readonly sizeBytes: number
  /**
   * The bytes from the start; may be called again, for a retry. A chunk is only read, and may be
   * kept until the put ends.
   */
  chunks(): AsyncIterable<Uint8Array>
}

/** The body of bytes in memory; shared, so they must not change until they are stored. */
export function bodyOfBytes(bytes: Uint8Array): ObjectBody {
  return {
    sizeBytes: bytes.length,
    async *chunks() {
      if (bytes.length > 0) yield bytes
    },
  }
}

/**
 * The body of a local file, opened at each `chunks()` and read to its end in chunks of
 * `fileChunkBytes`. `sizeBytes` is what the caller knows of the file: one that grew or shrank is
 * refused by the store. A file that cannot be read gives `STORE_FAILED`, or what `fileSystemError`
 * knows better.
 */
export function bodyOfFile(path: string, sizeBytes: number): ObjectBody {
  return { sizeBytes, chunks: () => fileChunks(path) }
}

async function* fileChunks(path: string): AsyncIterable<Uint8Array> {
  const failed = (error: unknown): StateBackendError =>
    fileSystemError(error, 'read the local file', path, 'STORE_FAILED')
  const file = await open(path, 'r').catch((error: unknown) => {
    throw failed(error)
  })
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafeSlow(fileChunkBytes)
      const { bytesRead } = await file.read(chunk, 0, chunk.length).catch((error: unknown) => {
        throw failed(error)
      })
      if (bytesRead === 0) return
      yield chunk.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

/**
 * The chunks of `body`, for a store that is about to keep them: throws `STORAGE_FAILED` as soon as
 * they cannot come to `sizeBytes` any more, or cannot be read, and stops at an aborted signal,
 * looked at before every chunk. `what` names the object.
 */
export async function* checkedChunks(
  what: string,
  body: ObjectBody,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  throwIfAborted(signal)
  let sizeBytes = 0
  for await (const chunk of readableChunks(what, body)) {
    throwIfAborted(signal)
    sizeBytes += chunk.length
    if (sizeBytes > body.sizeBytes) throw wrongSize(what, body.sizeBytes, sizeBytes)
    yield chunk
  }
  throwIfAborted(signal)
  if (sizeBytes !== body.sizeBytes) throw wrongSize(what, body.sizeBytes, sizeBytes)
}

async function* readableChunks(what: string, body: ObjectBody): AsyncIterable<Uint8Array> {
  try {
    yield* body.chunks()
  } catch (error) {
    throw fileSystemError(error, 'read the bytes of', what, 'STORAGE_FAILED')
  }
}

function wrongSize(what: string, promisedBytes: number, madeBytes: number): StateBackendError {
  const made = madeBytes > promisedBytes ? `${madeBytes} or more` : `${madeBytes}`
  return new StateBackendError(
    'STORAGE_FAILED',
    `${what} was announced with ${promisedBytes} bytes and came to ${made}; nothing was stored. ` +
      'Find out what changes its source while it is read, then try again.',
    { details: { object: what, promisedBytes, madeBytes } },
  )
}
