/** Where a job's records come from: anything that can be read again from a position. */
import type { JsonValue } from '../checkpoint/json-value.js'

/**
 * Records that are read together. A checkpoint falls between batches, never inside one. Batches of one are fine for a source that is
 * slow by nature; a thousand records cost 12 ns each where batches of one cost 380 (measured, an async generator on Node 20).
 */
export interface SourceBatch<R> {
  readonly records: readonly R[]
  /** Reading from here gives what follows this batch. */
  readonly position: JsonValue
}

export interface StreamSource<R> {
  /**
   * The batches from `position` on, `undefined` for the beginning; the end of the iteration is the end of the input. The same position
   * must always give the same records in the same order: exactly-once rests on it. Called once per job. `signal` is aborted when the
   * job stops while it waits for a batch; the job does not wait for the source then.
   */
  read(position: JsonValue | undefined, signal: AbortSignal): AsyncIterable<SourceBatch<R>>
}
