/** Savepoints that were asked for and wait for a point between two records. */
import { StateBackendError } from '../errors.js'
import type { SavepointOptions } from './checkpoint-coordinator.js'
import type { CheckpointEvent } from './checkpoint-events.js'

/** More than one person asks for at a time. */
const WAITING_REQUESTS_MAX = 8

export interface SavepointRequest {
  readonly options: SavepointOptions
  readonly resolve: (event: CheckpointEvent) => void
  readonly reject: (error: unknown) => void
}

export class SavepointRequests {
  readonly #waiting: SavepointRequest[] = []
  #closed = false

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Rejects with `CHECKPOINT_FAILED` when many wait already, `SNAPSHOT_ABORTED` after `close`. */
  add(options: SavepointOptions): Promise<CheckpointEvent> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(runEnded())
        return
      }
      if (this.#waiting.length < WAITING_REQUESTS_MAX) {
        this.#waiting.push({ options, resolve, reject })
        return
      }
      reject(
        new StateBackendError(
          'CHECKPOINT_FAILED',
          `${WAITING_REQUESTS_MAX} savepoints are waiting to be taken. Wait until one has ended.`,
        ),
      )
    })
  }

  next(): SavepointRequest | undefined {
    return this.#waiting.shift()
  }

  /** The run ends: none of those that wait will be taken, and none that come. */
  close(): void {
    this.#closed = true
    for (const request of this.#waiting.splice(0)) request.reject(runEnded())
  }
}

function runEnded(): StateBackendError {
  return new StateBackendError(
    'SNAPSHOT_ABORTED',
    'The run ended before the savepoint could be taken. Ask again when the job runs.',
  )
}
