/**
 * Which checkpoints and savepoints must be there, by the rules alone: what was said to be completed and is retained, and every savepoint
 * that was neither claimed nor disposed of.
 *
 * M2 What is restored by default is the newest there is, and so not older than any that was said to be completed.
 */
import type { CheckpointEvent } from '../../../src/host/checkpoint-events.js'
import type { RestoreSource } from '../../../src/host/checkpoint-selection.js'
import type { Attempt } from './attempt.js'
import type { AuditedObjectStore, Published } from './audited-object-store.js'
import { JOB_ID } from './settings.js'

export class Retention {
  readonly #store: AuditedObjectStore
  readonly #retainedMax: number
  readonly #faults: boolean
  /** The last attempt that looked at what there is: from then on it alone decides what is retained. */
  #owner: Attempt | undefined
  /** `_metadata` of savepoints that were claimed or disposed of. */
  readonly #givenUp = new Set<string>()
  /** By id, the oldest first; `claimed` stands for a savepoint that became the job's own. */
  #retained: (number | 'claimed')[] = []

  constructor(options: { store: AuditedObjectStore; retainedMax: number; faults: boolean }) {
    this.#store = options.store
    this.#retainedMax = options.retainedMax
    this.#faults = options.faults
  }

  onEvent(attempt: Attempt, event: CheckpointEvent): void {
    if (event.status === 'completed') this.#onCompleted(attempt, event)
    else this.#onAborted(attempt, event.reason)
  }

  #onCompleted(
    attempt: Attempt,
    { checkpointId, savepointFolder }: Pick<CheckpointEvent, 'checkpointId' | 'savepointFolder'>,
  ): void {
    const { published, violations } = this.#store
    const key = `${savepointFolder ?? `${JOB_ID}/chk-${checkpointId}`}/_metadata`
    if (this.#givenUp.has(key)) return
    const found = published.get(key)
    if (found?.checkpoint.epoch !== attempt.epoch) {
      violations.push(`${key} is completed and not in storage`)
    }
    if (savepointFolder !== undefined) {
      this.#store.protected.add(key)
      return
    }
    if (found?.late === true) violations.push(`C6: ${key} of a fenced attempt is completed`)
    // Of an older one it was completed before the owner looked.
    if (attempt !== this.#owner) return
    this.#retained.push(checkpointId)
    this.#retained.splice(0, this.#retained.length - this.#retainedMax)
    this.#protectRetained()
  }

  #onAborted(attempt: Attempt, reason: string): void {
    const expected: string[] = ['expired', 'subsumed', 'closed', 'declined']
    if (this.#faults || attempt !== this.#owner || expected.includes(reason)) return
    // Its id may be taken by what a fenced attempt stored.
    if ([...this.#store.published.values()].some((each) => each.late)) return
    this.#store.violations.push(`a checkpoint failed without a cause: ${reason}`)
  }

  #protectRetained(): void {
    const { protected: kept } = this.#store
    for (const key of kept) if (this.#store.isOwn({ key })) kept.delete(key)
    for (const id of this.#retained) {
      if (typeof id === 'number') kept.add(`${JOB_ID}/chk-${id}/_metadata`)
    }
  }

  /** The job's own, the oldest first. */
  ownByAge(): Published[] {
    return [...this.#store.published.values()]
      .filter((each) => this.#store.isOwn(each))
      .sort(
        ({ checkpoint: a }, { checkpoint: b }) =>
          a.epoch - b.epoch || a.checkpointId - b.checkpointId,
      )
  }

  /** `attempt` has looked at storage, and goes on from `restored`. Throws when that is the wrong one (M2). */
  onRestored(attempt: Attempt, source: RestoreSource, restored: Published | undefined): void {
    this.#owner = attempt
    const stored = this.ownByAge()
    const newest = stored.findLast(({ late }) => !late)
    const ids = stored.map(({ checkpoint }) => checkpoint.checkpointId)
    if ('snapshot' in source) {
      this.#retained = ids
      if (source.claimMode !== 'CLAIM') return
      this.giveUp(`${source.snapshot.folder}/_metadata`)
      this.#retained.push('claimed')
      return
    }
    if (source.checkpointId === undefined && restored !== newest && restored?.late !== true) {
      throw new Error(`M2: ${restored?.key} was restored instead of ${newest?.key}`)
    }
    if (restored === undefined) return
    // From now on it is as good as any: it must have been whole to be restored.
    restored.late = false
    const { checkpointId } = restored.checkpoint
    this.#retained = [...ids.filter((id) => id !== checkpointId), checkpointId]
  }

  giveUp(savepoint: string): void {
    this.#givenUp.add(savepoint)
    this.#store.protected.delete(savepoint)
  }

  /** At a quiet end, without faults: exactly what is retained is there. */
  check(): void {
    const retained = this.#retained.filter((id) => id !== 'claimed')
    // What a fenced attempt stored after the owner had looked is nobody's.
    const kept = this.ownByAge().flatMap(({ late, checkpoint: { checkpointId } }) =>
      !late || retained.includes(checkpointId) ? checkpointId : [],
    )
    const same = kept.length === retained.length && kept.every((id) => retained.includes(id))
    if (this.#faults || same) return
    throw new Error(`${kept.join()} are in storage, ${retained.join()} are retained`)
  }
}
