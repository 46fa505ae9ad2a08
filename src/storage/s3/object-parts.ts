/**
 * A body cut into parts, with the hash that signs each. The hash is made while a part is filled, a chunk at a time: left to the SDK
 * it would be made at once, and hold up the event loop for milliseconds.
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { checkedChunks, type ObjectBody } from '../object-body.js'

export interface Part {
  /** From 1. */
  readonly number: number
  readonly bytes: Buffer
  /** In lower-case hexadecimal. */
  readonly sha256: string
}

/**
 * The checked bytes of `body` in parts of `partSizeBytes`, the last one shorter; none of an empty body. The last part may be given
 * out before the body came to its end: only the end of the iteration says that it has the promised size.
 */
export async function* partsOf(
  key: string,
  body: ObjectBody,
  partSizeBytes: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Part, void, undefined> {
  let part = new PartInProgress(1, Math.min(partSizeBytes, body.sizeBytes))
  let rest = body.sizeBytes
  for await (const chunk of checkedChunks(key, body, signal)) {
    for (let offset = 0; offset < chunk.length;) {
      const taken = part.fill(chunk, offset)
      offset += taken
      rest -= taken
      if (!part.full) continue
      yield part.end()
      part = new PartInProgress(part.number + 1, Math.min(partSizeBytes, rest))
    }
  }
}

class PartInProgress {
  readonly number: number
  readonly #bytes: Buffer
  readonly #hash = createHash('sha256')
  #filled = 0

  constructor(number: number, sizeBytes: number) {
    this.number = number
    this.#bytes = Buffer.allocUnsafeSlow(sizeBytes)
  }

  get full(): boolean {
    return this.#filled === this.#bytes.length
  }

  /** Takes what fits of `chunk` from `offset` on; returns how much that was. */
  fill(chunk: Uint8Array, offset: number): number {
    const slice = chunk.subarray(offset, offset + this.#bytes.length - this.#filled)
    this.#bytes.set(slice, this.#filled)
    this.#filled += slice.length
    this.#hash.update(slice)
    return slice.length
  }

  end(): Part {
    return { number: this.number, bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }
}

const payloadHashHeader = 'x-amz-content-sha256'

/** A middleware of the SDK for the step at which a request is built. */
type BuildMiddleware = <Input extends { request: unknown }, Output>(
  next: (input: Input) => Promise<Output>,
) => (input: Input) => Promise<Output>

/** Gives the SDK the hash that it would make of the body to sign it. */
export function payloadHash(part: Part): BuildMiddleware {
  return (next) => (input) => {
    const { headers } = input.request as { headers: Record<string, string> }
    headers[payloadHashHeader] = part.sha256
    return next(input)
  }
}
