/**
 * What a snapshot says about its backend beside the tables: the private state of a handle. JSON with a version; written to disk.
 */
import { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import { StateBackendError } from '../errors.js'
import { checkCompatible, type StateMetaInformation } from '../state/state-registry.js'

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
  const version: number = meta.version
  if (version !== META_VERSION) {
    throw new StateBackendError(
      'METADATA_VERSION_UNKNOWN',
      `The checkpoint's state was written in format ${version}, this version reads ${META_VERSION}. Restore it with ` +
        'the version of level-state-backend that wrote it, or a later one.',
      { details: { version } },
    )
  }
  return meta
}

/** What holds for the union of several backends of one operator. Throws as `checkCompatible` where two disagree about a state. */
export function uniteMetaInformation(
  metas: readonly BackendMetaInformation[],
): BackendMetaInformation {
  const [first] = metas
  assert(first !== undefined, 'there is something to unite')
  const states = new Map<number, StateMetaInformation>()
  for (const state of metas.flatMap((meta) => meta.states)) {
    const known = states.get(state.stateId)
    if (known !== undefined) checkCompatible(known, state)
    states.set(state.stateId, state)
  }
  return {
    ...first,
    lastSequence: Math.max(...metas.map((meta) => meta.lastSequence)),
    lastEpoch: Math.max(...metas.map((meta) => meta.lastEpoch)),
    states: [...states.values()],
  }
}
