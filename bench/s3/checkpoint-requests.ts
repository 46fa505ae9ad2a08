/** What a checkpoint costs in requests: counted while a job of one task takes incremental ones. */
import { join } from 'node:path'
import {
  CheckpointStorage,
  LevelDBStateBackend,
  LocalStreamJob,
  numberKey,
  valueState,
} from '../../src/index.js'
import type { S3ObjectStore } from '../../src/storage/s3/s3-object-store.js'
import type { Endpoint } from './endpoint.js'

const KEYS = 20_000
const VALUE_BYTES = 100
const RECORDS_PER_CHECKPOINT = 2000
const CHECKPOINTS = 12
const MEMORY_BYTES = 64 * 2 ** 20

/** List prices of S3 Standard in us-east-1, in dollars per request; deletions are free, and listing costs as much as storing. */
const writePrice = 0.005 / 1000
const readPrice = 0.0004 / 1000
const readOperations = new Set(['GetObject', 'HeadObject'])
const SECONDS_PER_MONTH = 30 * 24 * 3600

/** How often each operation was asked for. */
type Requests = Readonly<Record<string, number>>

export interface RequestFigures {
  /** Incremental ones: a delta table each. */
  readonly checkpoints: number
  readonly uploadedBytes: number
  /** Of all these checkpoints together, up to their completion: everything but what `deletions` has. */
  readonly requests: Requests
  /** The most of one checkpoint. */
  readonly requestsMax: number
  /** To delete what they subsumed, listings of its folder included. */
  readonly deletions: Requests
  readonly dollarsPerMonth: number
}

interface Taken {
  readonly kind: string
  readonly uploadedBytes: number
  readonly requests: Requests
}

export async function countRequests(
  endpoint: Endpoint,
  store: S3ObjectStore,
  directory: string,
  intervalSeconds: number,
): Promise<RequestFigures> {
  const { requests, deletions } = endpoint
  const taken: Taken[] = []
  /** Before the first completion, and after each. */
  const deletionsAround: Requests[] = []
  const job = new LocalStreamJob({
    source: {
      async *read() {
        // The first one also opens the epoch and looks for what to restore.
        for (let position = 0; position < RECORDS_PER_CHECKPOINT * (CHECKPOINTS + 1);) {
          const records = Array.from({ length: 100 }, (_, index) => position + index)
          position += records.length
          yield { records, position }
          // Lets one checkpoint end before the next begins, so that requests are told apart.
          if (position % RECORDS_PER_CHECKPOINT === 0) await completed(position)
        }
      },
    },
    keyOf: (record: number) => (record * 7919) % KEYS,
    keySerializer: numberKey,
    createOperator: (backend) => {
      const state = backend.getState(valueState<Uint8Array>('payload'))
      return { process: (record: number) => state.update(new Uint8Array(VALUE_BYTES).fill(record)) }
    },
    parallelism: 1,
    stateBackend: new LevelDBStateBackend({
      directory: join(directory, 'work'),
      memory: MEMORY_BYTES,
    }),
    checkpointStorage: new CheckpointStorage(store, { jobId: 'requests' }),
    checkpoints: { everyRecords: RECORDS_PER_CHECKPOINT, atEnd: false },
    onCheckpoint: (event) => {
      if (event.status !== 'completed') throw new Error(`a checkpoint was ${event.reason}`)
      const { kind, uploadedBytes } = event
      taken.push({ kind, uploadedBytes, requests: drained(requests) })
      deletionsAround.push(drained(deletions))
    },
  })
  async function completed(position: number): Promise<void> {
    const expected = position / RECORDS_PER_CHECKPOINT
    while (taken.length < expected - 1) await new Promise((resolve) => setImmediate(resolve))
  }
  await job.run()
  deletionsAround.push(drained(deletions))
  const all = taken.map((each, index) => ({ ...each, deletions: deletionsAround[index + 1] ?? {} }))
  return figuresOf(
    all.slice(1).filter(({ kind }) => kind === 'delta'),
    intervalSeconds,
  )
}

function drained(counts: Map<string, number>): Requests {
  const requests = Object.fromEntries(counts)
  counts.clear()
  return requests
}

function figuresOf(
  taken: readonly (Taken & { readonly deletions: Requests })[],
  intervalSeconds: number,
): RequestFigures {
  if (taken.length === 0) throw new Error('No incremental checkpoint was taken: nothing to count.')
  const requests = added(taken.map((each) => each.requests))
  const deletions = added(taken.map((each) => each.deletions))
  const dollars = (dollarsOf(requests) + dollarsOf(deletions)) / taken.length
  return {
    checkpoints: taken.length,
    uploadedBytes: sum(taken.map((each) => each.uploadedBytes)),
    requests,
    requestsMax: Math.max(...taken.map((each) => sum(Object.values(each.requests)))),
    deletions,
    dollarsPerMonth: (dollars * SECONDS_PER_MONTH) / intervalSeconds,
  }
}

function added(all: readonly Requests[]): Requests {
  const total: Record<string, number> = {}
  for (const [name, count] of all.flatMap((each) => Object.entries(each))) {
    total[name] = (total[name] ?? 0) + count
  }
  return total
}

function dollarsOf(requests: Requests): number {
  return sum(Object.entries(requests).map(([name, count]) => count * priceOf(name)))
}

function priceOf(operation: string): number {
  if (operation.startsWith('Delete') || operation.startsWith('Abort')) return 0
  return readOperations.has(operation) ? readPrice : writePrice
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)
