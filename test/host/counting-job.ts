/**
 * A small job whose right result is easy to say: for each key the records it had, in order. A record counted twice or left out shows.
 */
import type { KeyedStateBackend } from '../../src/state/keyed-state-backend.js'
import {
  LocalStreamJob,
  type LocalStreamJobOptions,
  type LocalSubtask,
  type StreamOperator,
} from '../../src/host/local-stream-job.js'
import type { SourceBatch, StreamSource } from '../../src/host/stream-source.js'
import { stringKey } from '../../src/record/key-serializer.js'
import type { StateBackend } from '../../src/state-backend.js'
import { listState, valueState } from '../../src/state/state-descriptor.js'
import type { ListState, ValueState } from '../../src/state/state.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import type { ObjectStore } from '../../src/storage/object-store.js'

/** A record is its number; its key follows from it. */
const keyOf = (record: number): string => `key ${record % 7}`

const countState = valueState<number>('count')
const recordsState = listState<number>('records')

export class Recorder implements StreamOperator<number> {
  readonly #backend: KeyedStateBackend<string>
  readonly #count: ValueState<number>
  readonly #records: ListState<number>

  constructor(backend: KeyedStateBackend<string>) {
    this.#backend = backend
    this.#count = backend.getState(countState)
    this.#records = backend.getState(recordsState)
  }

  process(record: number): void | Promise<void> {
    this.#count.update((this.#count.value() ?? 0) + 1)
    this.#records.add(record)
  }

  async *results(): AsyncGenerator<[key: string, count: number | undefined, records: number[]]> {
    for await (const key of this.#backend.getKeys(countState.name)) {
      this.#backend.setCurrentKey(key)
      yield [key, this.#count.value(), this.#records.get()]
    }
  }
}

export type Results = Record<string, { count: number | undefined; records: number[] }>

/** What must come out for records 0 to `records` - 1. */
export function expectedResults(records: number): Results {
  const results: Results = {}
  for (let record = 0; record < records; record++) {
    const result = (results[keyOf(record)] ??= { count: 0, records: [] })
    result.count = (result.count ?? 0) + 1
    result.records.push(record)
  }
  return results
}

/** Records 0 to `records` - 1 in batches of 1 to 4; a position is the number of the next record. */
export function numbers(
  records: number,
  beforeBatch: (position: number) => void | Promise<void> = () => undefined,
): StreamSource<number> {
  return {
    async *read(position): AsyncGenerator<SourceBatch<number>> {
      let next = typeof position === 'number' ? position : 0
      while (next < records) {
        await beforeBatch(next)
        const size = Math.min(1 + (next % 4), records - next)
        const batch = Array.from({ length: size }, (_, index) => next + index)
        next += size
        yield { records: batch, position: next }
      }
      await beforeBatch(next)
    },
  }
}

export function countingJob(
  options: {
    objectStore: ObjectStore
    stateBackend: StateBackend
    source: StreamSource<number>
  } & Partial<LocalStreamJobOptions<number, string, Recorder>>,
): LocalStreamJob<number, string, Recorder> {
  return new LocalStreamJob({
    keyOf,
    keySerializer: stringKey,
    createOperator: (backend) => new Recorder(backend),
    parallelism: 2,
    maxParallelism: 16,
    checkpointStorage: new CheckpointStorage(options.objectStore, {
      jobId: 'job',
      inlineThresholdBytes: 0,
    }),
    ...options,
  })
}

/** To be given to `run` as `scan`. */
export function collectInto(results: Results) {
  return async (subtasks: readonly LocalSubtask<string, Recorder>[]): Promise<void> => {
    for (const { operator } of subtasks) {
      for await (const [key, count, records] of operator.results()) {
        if (results[key] !== undefined) throw new Error(`two subtasks have ${key}`)
        results[key] = { count, records }
      }
    }
  }
}
