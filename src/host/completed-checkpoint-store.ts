/**
 * The completed checkpoints of a job, and what they need in storage: which are retained, which shared objects they name.
 *
 * Invariants
 * H1 An id is above every id in storage and every id given here, so it never belongs to two checkpoints that can be met. An aborted
 *    checkpoint leaves nothing behind, and after a restart its id may be given again; that is harmless: no object's name follows from
 *    an id, and the newest retained checkpoint has the highest id that was ever completed.
 * H2 A shared object is deleted only when no retained checkpoint names it and no pending one can: a pending one is built on the
 *    checkpoint that was the last completed one at its trigger.
 */
import {
  decodeCheckpointMetadata,
  encodeCheckpointMetadata,
} from '../checkpoint/checkpoint-metadata.js'
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import type { IncrementalRemoteKeyedStateHandle } from '../checkpoint/keyed-state-handle.js'
import { SharedStateRegistry } from '../checkpoint/shared-state-registry.js'
import { throwIfAborted } from '../common/concurrency.js'
import { StateBackendError } from '../errors.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import { CheckpointsCleaner } from './checkpoints-cleaner.js'

interface Abortable {
  readonly signal?: AbortSignal | undefined
}

export class CompletedCheckpointStore {
  readonly #storage: CheckpointStorage
  readonly #retainedMax: number
  readonly #onWarning: (warning: StateBackendError) => void
  readonly #registry = new SharedStateRegistry()
  readonly #cleaner: CheckpointsCleaner
  /** Ascending. */
  #retained: number[] = []

  constructor(options: {
    storage: CheckpointStorage
    retainedMax: number
    onWarning: (warning: StateBackendError) => void
  }) {
    this.#storage = options.storage
    this.#retainedMax = options.retainedMax
    this.#onWarning = options.onWarning
    this.#cleaner = new CheckpointsCleaner({ ...options, registry: this.#registry })
  }

  get lastCheckpointId(): number | undefined {
    return this.#retained.at(-1)
  }

  /**
   * Finds what is in storage. Rejects when the newest checkpoint cannot be read; then nothing has changed. An older one that cannot
   * be read is a warning.
   */
  async recover(
    options: Abortable,
  ): Promise<{ latest: CompletedCheckpoint | undefined; highestCheckpointId: number }> {
    const retained = await this.#storage.listCheckpoints(options)
    const highest = await this.#storage.highestCheckpointId(options)
    const newestId = retained.at(-1)
    const latest = newestId === undefined ? undefined : await this.#read(newestId, options)
    for (const checkpointId of retained.slice(0, -1)) {
      await this.#registerOlder(checkpointId, options)
    }
    if (latest !== undefined) this.#register(latest)
    this.#retained = retained
    return { latest, highestCheckpointId: Math.max(highest, newestId ?? 0) }
  }

  async #read(checkpointId: number, options: Abortable): Promise<CompletedCheckpoint> {
    const name = `_metadata of checkpoint ${checkpointId} of job ${this.#storage.jobId}`
    const bytes = await this.#storage.readMetadata(checkpointId, options)
    const checkpoint = decodeCheckpointMetadata(bytes, name)
    if (checkpoint.checkpointId === checkpointId) return checkpoint
    throw new StateBackendError(
      'METADATA_DAMAGED',
      `${name} is that of checkpoint ${checkpoint.checkpointId}. Somebody copied it: remove the copy, or restore another checkpoint.`,
      { details: { checkpointId, found: checkpoint.checkpointId } },
    )
  }

  async #registerOlder(checkpointId: number, options: Abortable): Promise<void> {
    try {
      this.#register(await this.#read(checkpointId, options))
    } catch (cause) {
      throwIfAborted(options.signal)
      this.#onWarning(
        new StateBackendError(
          'CHECKPOINT_FAILED',
          `Checkpoint ${checkpointId} cannot be read. A newer one is there, so the job goes on; tables that only this one names will be ` +
            'left in storage.',
          { cause, details: { checkpointId } },
        ),
      )
    }
  }

  #register({ checkpointId, operators }: CompletedCheckpoint): void {
    for (const { keyedStateHandle } of operators.flatMap(({ subtasks }) => subtasks)) {
      this.registerAcknowledged(checkpointId, keyedStateHandle)
    }
  }

  /** C4: to be called with every acknowledgement, also a late one, before anything else. */
  registerAcknowledged(
    checkpointId: number,
    handle: IncrementalRemoteKeyedStateHandle | null | undefined,
  ): void {
    this.#registry.register(handle?.objects().shared ?? [], checkpointId)
  }

  /** C3: to be called when everything that `checkpoint` names is durable. */
  publish(checkpoint: CompletedCheckpoint, options: Abortable): Promise<void> {
    const bytes = encodeCheckpointMetadata(checkpoint)
    return this.#storage.writeMetadata(checkpoint.checkpointId, bytes, options)
  }

  /** Adds a published checkpoint; returns the ids of those that are retained no more, ascending. */
  add(checkpointId: number): number[] {
    this.#retained.push(checkpointId)
    const subsumed = this.#retained.splice(0, this.#retained.length - this.#retainedMax)
    for (const id of subsumed) this.#cleaner.condemn(id, 'subsumed')
    return subsumed
  }

  /** `checkpointId` will never be completed: all of it that was acknowledged is to go. May be called again for late ones. */
  abort(checkpointId: number): void {
    this.#cleaner.condemn(checkpointId, 'aborted')
  }

  /**
   * Deletes what is not needed any more. `lowestBaseId` gives the lowest checkpoint that a pending one is based on. Never rejects: what
   * could not be deleted is a warning, and is tried again the next time.
   */
  clean(lowestBaseId: () => number | undefined): Promise<void> {
    return this.#cleaner.clean(() => {
      const needed = [this.#retained[0], lowestBaseId()].filter((id) => id !== undefined)
      return needed.length === 0 ? 1 : Math.min(...needed)
    })
  }
}
