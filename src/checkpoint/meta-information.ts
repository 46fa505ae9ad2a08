/**
 * What a snapshot says about its backend beside the tables: the private state of a handle. JSON with a version; written to disk.
 */
import { Buffer } from 'node:buffer'
import { StateBackendError } from '../errors.js'
import type { StateMetaInformation } from '../state/state-registry.js'

export const META_VERSION = 1

export interface BackendMetaInformation {
  readonly version: typeof META_VERSION
  readonly keyType: string
  readonly maxParallelism: number
  /** No entry of the tables has a larger sequence. */
  readonly lastSequence: number
  /** The last epoch given to a spilled cell. */
  readonly lastEpoch: number
  readonly states: readonly StateMetaInformation[]
}

export function encodeMetaInformation(meta: BackendMetaInformation): Buffer {
  return Buffer.from(JSON.stringify(meta))
}

/** Decodes bytes whose SHA-256 was verified. Throws `METADATA_VERSION_UNKNOWN`. */
export function decodeMetaInformation(bytes: Buffer): BackendMetaInformation {
  const meta = JSON.parse(bytes.toString()) as BackendMetaInformation
  if (meta.version !== META_VERSION) {
    throw new StateBackendError(
      'METADATA_VERSION_UNKNOWN',
      `The checkpoint's state was written in format ${String(meta.version)}, this version reads ${META_VERSION}. Restore it with ` +
        'the version of level-state-backend that wrote it, or a later one.',
      { details: { version: meta.version } },
    )
  }
  return meta
}
