/**
 * Writes the golden directory of this version's formats: `npx tsx test/golden/write-golden.ts <new directory>`. A directory that was
 * released is never written again; a new format version gets a directory of its own, and the old ones are read for ever
 * (golden.test.ts).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LocalStreamJob } from '../../src/host/local-stream-job.js'
import type { SourceBatch, StreamSource } from '../../src/host/stream-source.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { openSnapshot } from '../../src/restore/snapshot-location.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { Effects, EffectsModel, keyOf, MAX_PARALLELISM } from '../crash/effects.js'

const BATCH_RECORDS = 50
/** Where each job's run ends: the first with a checkpoint, the second with a savepoint. */
const RECORDS = [700, 900] as const

function numbers(end: number): StreamSource<number> {
  return {
    async *read(position): AsyncGenerator<SourceBatch<number>> {
      for (let next = Number(position ?? 0); next < end; next += BATCH_RECORDS) {
        const records = Array.from({ length: BATCH_RECORDS }, (_, index) => next + index)
        yield { records, position: next + BATCH_RECORDS }
      }
    },
  }
}

interface GoldenJob {
  readonly jobId: string
  readonly stateBackend: (work: string) => StateBackend
  readonly parallelism: number
}

const rebasePolicy = { deltaCountMax: 6, smallStateBytes: 40_000 }
const jobs: readonly GoldenJob[] = [
  {
    jobId: 'leveldb',
    stateBackend: (directory) =>
      new LevelDBStateBackend({ directory, rebasePolicy, compression: 'snappy' }),
    parallelism: 2,
  },
  {
    jobId: 'hashmap',
    stateBackend: () => new HashMapStateBackend({ rebasePolicy }),
    parallelism: 1,
  },
]

async function write({ jobId, stateBackend, parallelism }: GoldenJob, root: string): Promise<void> {
  const objectStore = new DirectoryObjectStore(root)
  const work = mkdtempSync(join(tmpdir(), 'golden-'))
  const [untilCheckpoint, untilSavepoint] = RECORDS
  const run = async (records: number, withSavepoint: boolean): Promise<void> => {
    const job = new LocalStreamJob({
      source: numbers(records),
      keyOf,
      keySerializer: numberKey,
      createOperator: (backend) => new Effects(backend),
      parallelism,
      maxParallelism: MAX_PARALLELISM,
      stateBackend: stateBackend(work),
      checkpointStorage: new CheckpointStorage(objectStore, { jobId, inlineThresholdBytes: 2000 }),
      checkpoints: { everyRecords: 100, retainedCheckpointsMax: 2, atEnd: !withSavepoint },
    })
    const running = job.run()
    if (withSavepoint) await job.stopWithSavepoint({ folder: `savepoints/${jobId}` })
    await running
  }
  await run(untilCheckpoint, false)
  await run(untilSavepoint, true)
  rmSync(work, { recursive: true, force: true })
  const { checkpoint } = await openSnapshot(objectStore, `savepoints/${jobId}`)
  console.log(jobId, 'savepoint of', checkpoint.hostData)
}

const [, , directory] = process.argv
if (directory === undefined) throw new Error('name a new directory')
mkdirSync(directory)
const storage = join(directory, 'storage')
for (const job of jobs) await write(job, storage)

const expected: Record<number, unknown> = {}
const model = new EffectsModel()
for (let position = 0; position <= RECORDS[1]; position += BATCH_RECORDS) {
  model.advanceTo(position)
  if (position >= RECORDS[0] - 200) expected[position] = [...model.contents()]
}
writeFileSync(join(directory, 'expected.json'), JSON.stringify(expected))
