/** Tells whether a checkpoint could be restored, without restoring it: reads every object it names, once. */
import {
  distinctStates,
  handlesOf,
  statesOf,
  type CompletedCheckpoint,
} from '../checkpoint/completed-checkpoint.js'
import { mapLimit } from '../common/concurrency.js'
import { isDataError, type StateBackendErrorCode } from '../errors.js'
import type { CheckpointStateReader } from '../storage/checkpoint-state-reader.js'
import type { StreamStateHandle } from '../storage/checkpoint-storage.js'

/** Objects that are read at a time. */
const READS_MAX = 8

export interface CheckpointProblem {
  /** As in the handle; `inline` for state that is part of `_metadata`. */
  readonly location: string
  /** `OBJECT_MISSING` or `OBJECT_DAMAGED`. */
  readonly code: StateBackendErrorCode
  readonly message: string
}

export interface CheckpointVerification {
  readonly checkpointId: number
  /** Read, each once, however many tasks name it. */
  readonly objects: number
  readonly bytes: number
  /** Empty when the checkpoint is whole. */
  readonly problems: readonly CheckpointProblem[]
}

export interface VerifyCheckpointOptions {
  readonly signal?: AbortSignal | undefined
  /** Called after each object, with the bytes read so far and those there are to read. */
  readonly onProgress?: ((readBytes: number, totalBytes: number) => void) | undefined
}

/**
 * Reads all state that `checkpoint` names through `reader`, comparing sizes and SHA-256. Missing and damaged objects are problems in the
 * result; anything else that keeps an object from being read rejects (`STORAGE_FAILED`, an abort), since it says nothing about the object.
 */
export async function verifyCheckpoint(
  reader: CheckpointStateReader,
  checkpoint: CompletedCheckpoint,
  options: VerifyCheckpointOptions = {},
): Promise<CheckpointVerification> {
  const states = distinctStates(handlesOf(checkpoint).flatMap(statesOf))
  const totalBytes = states.reduce((bytes, state) => bytes + state.sizeBytes, 0)
  let readBytes = 0
  const problems = await mapLimit(
    states,
    READS_MAX,
    async (state, signal) => {
      const problem = await problemOf(reader, state, signal)
      readBytes += state.sizeBytes
      options.onProgress?.(readBytes, totalBytes)
      return problem
    },
    options.signal,
  )
  return {
    checkpointId: checkpoint.checkpointId,
    objects: states.length,
    bytes: totalBytes,
    problems: problems.filter((problem) => problem !== undefined),
  }
}

async function problemOf(
  reader: CheckpointStateReader,
  state: StreamStateHandle,
  signal: AbortSignal,
): Promise<CheckpointProblem | undefined> {
  try {
    await reader.verify(state, { signal })
    return undefined
  } catch (error) {
    if (!isDataError(error)) throw error
    const location = state.kind === 'object' ? state.location : 'inline'
    return { location, code: error.code, message: error.message }
  }
}
