/**
 * The process that runs the job, started by main.ts and killed by it. It restores from the newest checkpoint in storage, if there is
 * one; it does not know whether it is the first process or the second.
 */
import { isS3Location, openS3 } from '../../src/cli/open-s3.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import type { CheckpointEvent } from '../../src/host/checkpoint-events.js'
import { LocalStreamJob } from '../../src/host/local-stream-job.js'
import type { SourceBatch } from '../../src/host/stream-source.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { stringKey } from '../../src/record/key-serializer.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import type { ObjectStore } from '../../src/storage/object-store.js'
import { MemoryBudget } from '../../src/store/memory-budget.js'
import { DelayPerRoute } from './delay-per-route.js'
import { readFlights, type Flight } from './flights-file.js'
import type { CheckpointSummary, JobMessage, JobSettings } from './messages.js'
import type { RouteResult } from './route-result.js'

const MEMORY_BYTES = 256 * 2 ** 20
/** Results in one message. */
const ROUTES_PER_MESSAGE = 100

/** Resolves when the message is on its way, so that no more than one is ever held here. */
function send(message: JobMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, undefined, undefined, (error) =>
      error === null ? resolve() : reject(error),
    )
  })
}

async function* flightsFrom(
  position: number,
  { records, reportEveryRecords }: JobSettings,
): AsyncGenerator<SourceBatch<Flight>> {
  let read = position
  let reported = position
  for await (const flights of readFlights(position, records)) {
    // Being asked for more means that all before is processed.
    if (read - reported >= reportEveryRecords) {
      reported = read
      await send({ type: 'progress', records: read })
    }
    read += flights.length
    yield { records: flights, position: read }
  }
}

function stateBackendOf({ stateBackend, workDirectory, parallelism }: JobSettings): StateBackend {
  const memory = new MemoryBudget(MEMORY_BYTES, { backends: parallelism })
  return stateBackend === 'leveldb'
    ? new LevelDBStateBackend({ directory: workDirectory, memory })
    : new HashMapStateBackend({ memory })
}

async function objectStoreOf(settings: JobSettings): Promise<ObjectStore> {
  const { checkpointDirectory, s3Endpoint } = settings
  return isS3Location(checkpointDirectory)
    ? openS3(checkpointDirectory, { endpoint: s3Endpoint })
    : new DirectoryObjectStore(checkpointDirectory)
}

function summaryOf(event: CheckpointEvent): CheckpointSummary {
  if (event.status === 'completed') return event
  const { cause, ...rest } = event
  return { ...rest, failure: cause instanceof Error ? cause.message : event.reason }
}

async function run(settings: JobSettings): Promise<void> {
  const objectStore = await objectStoreOf(settings)
  let restoredCheckpointId = 0
  const job = new LocalStreamJob({
    source: {
      async *read(position) {
        const records = Number(position ?? 0)
        await send({ type: 'started', restoredCheckpointId, records })
        yield* flightsFrom(records, settings)
      },
    },
    keyOf: ({ route }: Flight) => route,
    keySerializer: stringKey,
    createOperator: (backend) => new DelayPerRoute(backend),
    operatorId: 'delay-per-route',
    parallelism: settings.parallelism,
    stateBackend: stateBackendOf(settings),
    checkpointStorage: new CheckpointStorage(objectStore, { jobId: settings.jobId }),
    checkpoints: { everyRecords: settings.checkpointEveryRecords },
    onRestored: ({ checkpointId }) => {
      restoredCheckpointId = checkpointId
    },
    onCheckpoint: (event) => void send({ type: 'checkpoint', event: summaryOf(event) }),
    onWarning: (warning) => process.stderr.write(`${warning.message}\n`),
  })
  await job.run({ scan: sendResults })
}

async function sendResults(subtasks: readonly { operator: DelayPerRoute }[]): Promise<void> {
  await send({ type: 'processed' })
  let routes: RouteResult[] = []
  for (const { operator } of subtasks) {
    for await (const result of operator.results()) {
      routes.push(result)
      if (routes.length < ROUTES_PER_MESSAGE) continue
      await send({ type: 'results', routes })
      routes = []
    }
  }
  await send({ type: 'results', routes })
}

// Without main.ts there is nobody to work for.
process.once('disconnect', () => process.exit(1))
try {
  await run(JSON.parse(process.argv[2] ?? '{}') as JobSettings)
} catch (error) {
  await send({
    type: 'failed',
    error: error instanceof Error ? (error.stack ?? '') : String(error),
  })
  process.exitCode = 1
}
process.removeAllListeners('disconnect')
process.disconnect()
