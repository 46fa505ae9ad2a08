/** What the tests of a local job have in common: storage that fails when told to, and a state backend that is watched. */
import { setImmediate as turn } from 'node:timers/promises'
import type { CheckpointableKeyedStateBackend } from '../../src/checkpoint/checkpointable-keyed-state-backend.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import type { CheckpointEvent } from '../../src/host/checkpoint-events.js'
import type { KeyedStateBackendOptions, StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { SMALL_MEMORY_BYTES } from '../support/state-task.js'
import type { Results } from './counting-job.js'

/** In memory, and knows whether everything it made was closed. */
class WatchedStateBackend implements StateBackend {
  created = 0
  closed = 0
  readonly #inner: StateBackend = new HashMapStateBackend({ memory: SMALL_MEMORY_BYTES })

  async createKeyedStateBackend<K>(
    options: KeyedStateBackendOptions<K>,
  ): Promise<CheckpointableKeyedStateBackend<K>> {
    const backend = await this.#inner.createKeyedStateBackend(options)
    this.created++
    const close = backend.close.bind(backend)
    backend.close = () => {
      this.closed++
      return close()
    }
    return backend
  }

  get open(): number {
    return this.created - this.closed
  }
}

export interface LocalJobParts {
  readonly objectStore: FaultObjectStore
  /** As the job has it. */
  readonly storage: CheckpointStorage
  readonly stateBackend: WatchedStateBackend
  readonly events: CheckpointEvent[]
  readonly results: Results
  /** Options for `countingJob`. */
  readonly common: {
    readonly objectStore: FaultObjectStore
    readonly stateBackend: WatchedStateBackend
    readonly onCheckpoint: (event: CheckpointEvent) => void
  }
}

export function setUp(): LocalJobParts {
  const objectStore = new FaultObjectStore(new MemoryObjectStore())
  const storage = new CheckpointStorage(objectStore, { jobId: 'job', inlineThresholdBytes: 0 })
  const stateBackend = new WatchedStateBackend()
  const events: CheckpointEvent[] = []
  const onCheckpoint = (event: CheckpointEvent) => void events.push(event)
  const common = { objectStore, stateBackend, onCheckpoint }
  return { objectStore, storage, stateBackend, events, results: {}, common }
}

/** Waits until something that is only a matter of input and output has happened. */
export async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 1_000_000) throw new Error('it never happened')
    await turn()
  }
}
