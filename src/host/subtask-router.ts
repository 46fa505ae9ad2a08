/** Which subtask a key belongs to. Asked for every record. */
import { assert } from '../common/assert.js'
import {
  computeKeyGroupForKeyHash,
  computeOperatorIndexForKeyGroup,
} from '../record/key-group-range-assignment.js'
import type { KeySerializer } from '../record/key-serializer.js'

export class SubtaskRouter<K, Subtask> {
  readonly #keySerializer: KeySerializer<K>
  readonly #maxParallelism: number
  /** With one subtask no key needs to be hashed here. */
  readonly #only: Subtask | undefined
  readonly #byKeyGroup: readonly Subtask[]

  constructor(
    keySerializer: KeySerializer<K>,
    maxParallelism: number,
    subtasks: readonly Subtask[],
  ) {
    this.#keySerializer = keySerializer
    this.#maxParallelism = maxParallelism
    this.#only = subtasks.length === 1 ? subtasks[0] : undefined
    this.#byKeyGroup = Array.from({ length: maxParallelism }, (_, keyGroup) => {
      const index = computeOperatorIndexForKeyGroup(maxParallelism, subtasks.length, keyGroup)
      const subtask = subtasks[index]
      assert(subtask !== undefined, 'every key group has a subtask')
      return subtask
    })
  }

  /** @throws StateBackendError `KEY_NOT_ENCODABLE`: not a key of the declared type. */
  subtaskOf(key: K): Subtask {
    if (this.#only !== undefined) return this.#only
    const hash = this.#keySerializer.hashCode(this.#keySerializer.identityOf(key))
    const keyGroup = computeKeyGroupForKeyHash(hash, this.#maxParallelism)
    return this.#byKeyGroup[keyGroup] as Subtask
  }
}
