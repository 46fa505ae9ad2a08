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

/** List prices of S3 Standard in us-east-1, in dollars per request; deletions are free. */
const writePrice = 0.005 / 1000
const readPrice = 0.0004 / 1000
const freeOperations = new Set(['DeleteObject', 'DeleteObjects', 'AbortMultipartUpload'])
const writeOperations = new Set([
  'PutObject',
  'CreateMultipartUpload',
  'UploadPart',
  'CompleteMultipartUpload',
])
const readOperations = new Set(['GetObject', 'HeadObject'])
const SECONDS_PER_MONTH = 30 * 24 * 3600

export interface RequestFigures {
  readonly checkpoints: number
  readonly uploadedBytes: number
  /** Of each operation, by all checkpoints together. */
  readonly operations: Readonly<Record<string, number>>
  /** The most between two completions that state had to be written for. */
  readonly requestsMax: number
  /** Those of them that store something: a table, metadata, the publication. */
  readonly writesMax: number
  readonly dollarsPerMonth: number
}

export async function countRequests(
  endpoint: Endpoint,
  store: S3ObjectStore,
  directory: string,
  intervalSeconds: number,
): Promise<RequestFigures> {
  const { counts } = endpoint
  const perCheckpoint: Record<string, number>[] = []
  let uploadedBytes = 0
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
      perCheckpoint.push(Object.fromEntries(counts))
      uploadedBytes += event.uploadedBytes
      counts.clear()
    },
  })
  async function completed(position: number): Promise<void> {
    const expected = position / RECORDS_PER_CHECKPOINT
    while (perCheckpoint.length < expected - 1)
      await new Promise((resolve) => setImmediate(resolve))
  }
  counts.clear()
  await job.run()
  return figuresOf(perCheckpoint.slice(1), uploadedBytes, intervalSeconds)
}

function figuresOf(
  checkpoints: readonly Readonly<Record<string, number>>[],
  uploadedBytes: number,
  intervalSeconds: number,
): RequestFigures {
  const operations: Record<string, number> = {}
  for (const counts of checkpoints) {
    for (const [name, count] of Object.entries(counts)) {
      operations[name] = (operations[name] ?? 0) + count
    }
  }
  const dollars = Object.entries(operations).map(([name, count]) => count * priceOf(name))
  const perCheckpoint = sum(dollars) / checkpoints.length
  return {
    checkpoints: checkpoints.length,
    uploadedBytes,
    operations,
    requestsMax: Math.max(...checkpoints.map((counts) => sum(Object.values(counts)))),
    writesMax: Math.max(...checkpoints.map(writesOf)),
    dollarsPerMonth: (perCheckpoint * SECONDS_PER_MONTH) / intervalSeconds,
  }
}

function writesOf(counts: Readonly<Record<string, number>>): number {
  const writes = Object.entries(counts).filter(([name]) => writeOperations.has(name))
  return sum(writes.map(([, count]) => count))
}

/** Lists cost as much as writes. */
function priceOf(operation: string): number {
  if (freeOperations.has(operation)) return 0
  return readOperations.has(operation) ? readPrice : writePrice
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)
