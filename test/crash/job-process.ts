/**
 * A process that runs the job of `effects.ts` without end, checkpoints all the time, and tells its parent what was completed. It is made
 * to be killed.
 *
 *     node --import tsx test/crash/job-process.ts '{ "kind", "storage", "work", "parallelism" }'
 *
 * With its checkpoints in S3, region and credentials are those of the environment.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { isS3Location, openS3 } from '../../src/cli/open-s3.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LocalStreamJob } from '../../src/host/local-stream-job.js'
import type { SourceBatch, StreamSource } from '../../src/host/stream-source.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { numberKey } from '../../src/record/key-serializer.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { Effects, keyOf, MAX_PARALLELISM } from './effects.js'

export interface JobProcessOptions {
  readonly kind: 'leveldb' | 'hashmap'
  /** A directory, or `s3://bucket/prefix`. */
  readonly storage: string
  /** Of S3 that is not Amazon's. */
  readonly endpoint?: string | undefined
  /** A directory. */
  readonly work: string
  readonly parallelism: number
}

export interface JobProcessMessage {
  /** `undefined` in the first message: the job begins with its restore. */
  readonly completedCheckpointId: number | undefined
}

const BATCH_RECORDS = 100
const MEMORY_BYTES = 8 * 2 ** 20
const JOB_ID = 'job'

export async function crashStorage({
  storage,
  endpoint,
}: Pick<JobProcessOptions, 'storage' | 'endpoint'>): Promise<CheckpointStorage> {
  const objectStore = isS3Location(storage)
    ? await openS3(storage, { endpoint })
    : new DirectoryObjectStore(storage)
  return new CheckpointStorage(objectStore, { jobId: JOB_ID, inlineThresholdBytes: 0 })
}

/** Small tables and a policy that makes deltas, merges and rebases follow each other quickly. */
export function crashBackend({
  kind,
  work,
}: Pick<JobProcessOptions, 'kind' | 'work'>): StateBackend {
  const rebasePolicy = { deltaCountMax: 4, smallStateBytes: 100_000 }
  return kind === 'leveldb'
    ? new LevelDBStateBackend({ directory: work, memory: MEMORY_BYTES, rebasePolicy })
    : new HashMapStateBackend({ memory: MEMORY_BYTES, rebasePolicy })
}

const numbers: StreamSource<number> = {
  async *read(position): AsyncGenerator<SourceBatch<number>> {
    for (let next = Number(position ?? 0); ; next += BATCH_RECORDS) {
      await turn()
      const records = Array.from({ length: BATCH_RECORDS }, (_, index) => next + index)
      yield { records, position: next + BATCH_RECORDS }
    }
  },
}

async function runForEver(options: JobProcessOptions): Promise<void> {
  const tell = (message: JobProcessMessage): void => void process.send?.(message)
  const job = new LocalStreamJob({
    source: numbers,
    keyOf,
    keySerializer: numberKey,
    createOperator: (backend) => new Effects(backend),
    parallelism: options.parallelism,
    maxParallelism: MAX_PARALLELISM,
    stateBackend: crashBackend(options),
    checkpointStorage: await crashStorage(options),
    checkpoints: { everyRecords: 300, retainedCheckpointsMax: 2, concurrentCheckpointsMax: 2 },
    onCheckpoint: (event) => {
      if (event.status === 'completed') tell({ completedCheckpointId: event.checkpointId })
    },
  })
  tell({ completedCheckpointId: undefined })
  await job.run()
}

const [, , options] = process.argv
if (options !== undefined && process.send !== undefined) {
  await runForEver(JSON.parse(options) as JobProcessOptions)
}
