/** A counting job that is killed, and comes back over what it left in storage, an empty one at first. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import type { ObjectStore } from '../../src/storage/object-store.js'
import { collectInto, countingJob, expectedResults, numbers, type Results } from './counting-job.js'
import { DyingObjectStore } from './dying-object-store.js'
import { namedObjects, storedObjects } from './stored-objects.js'

export const RECORDS = 40
const EVERY_RECORDS = 10

/** Backends with memory of the smallest size, each process with a directory of its own. */
const stateBackends: Record<'hashmap' | 'leveldb', (directory: string) => StateBackend> = {
  hashmap: () => new HashMapStateBackend({ memory: 8 * 2 ** 20 }),
  leveldb: (directory) => new LevelDBStateBackend({ directory, memory: 8 * 2 ** 20 }),
}

interface Crash {
  readonly kind: 'hashmap' | 'leveldb'
  readonly deadlyOperation?: number
  readonly carriesOutTheLast?: boolean
  readonly deadlyPosition?: number
}

/** Runs the job until it dies or ends, and says whether it died. Then runs it again over what is left, and checks the result. */
export async function crashAndComeBack(
  crash: Crash,
  directory: string,
  objectStore: ObjectStore = new MemoryObjectStore(),
): Promise<boolean> {
  const died = await runAndDie(crash, objectStore, join(directory, 'first'))
  const storage = new CheckpointStorage(objectStore, { jobId: 'job' })
  const named = await namedObjects(storage)
  expect(await storedObjects(objectStore), 'whatever is named is there').toEqual(
    expect.arrayContaining(named),
  )
  const [lastCompleted] = (await storage.listCheckpoints()).slice(-1)

  const results: Results = {}
  const summary = await countingJob({
    objectStore,
    stateBackend: stateBackends[crash.kind](join(directory, 'second')),
    source: numbers(RECORDS),
    checkpoints: { everyRecords: EVERY_RECORDS },
  }).run({ scan: collectInto(results) })
  expect(results).toEqual(expectedResults(RECORDS))
  expect(summary.restoredCheckpointId).toBe(lastCompleted)
  expect(summary.recordsInState).toBe(RECORDS)
  rmSync(directory, { recursive: true, force: true })
  return died
}

async function runAndDie(
  { kind, deadlyOperation, carriesOutTheLast, deadlyPosition }: Crash,
  objectStore: ObjectStore,
  directory: string,
): Promise<boolean> {
  const dying = new DyingObjectStore(objectStore, deadlyOperation, carriesOutTheLast)
  const source = numbers(RECORDS, (position) => {
    if (position !== deadlyPosition) return undefined
    dying.die()
    return new Promise(() => undefined)
  })
  const stopping = new AbortController()
  const running = countingJob({
    objectStore: dying,
    stateBackend: stateBackends[kind](directory),
    source,
    checkpoints: { everyRecords: EVERY_RECORDS, tolerableFailedCheckpoints: Infinity },
  }).run({ signal: stopping.signal })
  const ended = running.then(
    () => false,
    () => true,
  )
  const died = await Promise.race([ended, dying.died.then(() => true)])
  // Nothing it still does reaches storage; only its memory and local files are freed.
  dying.bury()
  stopping.abort()
  await ended
  return died
}
