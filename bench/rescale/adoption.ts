/** Ours: keyed backends created from the handles at their new ranges. */
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { linkSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  LevelDBStateBackend,
  MemoryBudget,
  stringKey,
  type CheckpointableKeyedStateBackend,
  type CheckpointStorage,
  type KeyGroupRange,
} from '../../src/index.js'
import { tableFileName } from '../../src/table/manifest.js'
import { Stopwatch, verifiedOf, type Measurement, type Restore } from './measurement.js'
import { ContentsCounter, keyGroupOf, MAX_PARALLELISM } from './records.js'
import {
  LinkingStorage,
  MEMORY_BYTES,
  OPERATOR_ID,
  payloadState,
  storageOf,
  tableBytes,
  tablePath,
  type Sources,
} from './sources.js'

/** Where a subtask finds its tables. */
interface TableSource {
  readonly storage: (sources: Sources) => CheckpointStorage
  /** What is on local disk beforehand. */
  readonly prepare: (sources: Sources, workDirectory: string) => void
}

const nothing = (): void => undefined

/** Tables are local files and taken on trust, as they are for the rivals. */
export const linked: TableSource = {
  storage: ({ directory }) => new LinkingStorage(directory),
  prepare: nothing,
}

/** Tables come from storage. */
export const downloaded: TableSource = {
  storage: ({ directory }) => storageOf(directory),
  prepare: nothing,
}

/** Local recovery: a dead process has left the tables in the work directory; they are linked if their SHA-256 is right. */
export const recovered: TableSource = {
  storage: ({ directory }) => storageOf(directory),
  prepare: ({ directory, handles }, workDirectory) => {
    const left = join(workDirectory, `inc-${OPERATOR_ID}-${randomUUID()}`, 'tables')
    mkdirSync(left, { recursive: true })
    const tables = handles.flatMap(({ sharedState }) => sharedState)
    for (const [index, { state }] of tables.entries()) {
      linkSync(tablePath(directory, state), join(left, tableFileName(index + 1)))
    }
  },
}

export async function adopt(restore: Restore, source: TableSource): Promise<Measurement> {
  const { sources, verify } = restore
  const stopwatch = new Stopwatch()
  const counter = new ContentsCounter()
  let bytesFetched = 0
  for (const [index, range] of restore.ranges.entries()) {
    const directory = join(restore.workDirectory, `subtask-${index}`)
    source.prepare(sources, directory)
    const options = {
      operatorId: OPERATOR_ID,
      keySerializer: stringKey,
      maxParallelism: MAX_PARALLELISM,
      keyGroupRange: range,
      stateHandles: sources.handles,
      checkpointStorage: source.storage(sources),
    }
    const stateBackend = new LevelDBStateBackend({
      directory,
      memory: new MemoryBudget(MEMORY_BYTES),
    })
    await using backend = await stopwatch.time(async () => {
      const opened = await stateBackend.createKeyedStateBackend(options)
      await readOne(opened)
      return opened
    })
    for (const handle of sources.handles) {
      bytesFetched += tableBytes(handle.getIntersection(range)?.sharedState ?? [])
    }
    if (verify !== 'none') await count(backend, verifiedOf(range, verify), counter)
  }
  return stopwatch.result(bytesFetched, verify === 'none' ? undefined : counter.contents)
}

async function readOne(backend: CheckpointableKeyedStateBackend<string>): Promise<void> {
  const state = backend.getState(payloadState)
  for await (const key of backend.getKeys(payloadState.name)) {
    backend.setCurrentKey(key)
    if (state.value() !== undefined) return
  }
}

/** Of the first key groups, as keys come in their order. */
async function count(
  backend: CheckpointableKeyedStateBackend<string>,
  keyGroups: KeyGroupRange,
  counter: ContentsCounter,
): Promise<void> {
  const state = backend.getState(payloadState)
  for await (const key of backend.getKeys(payloadState.name)) {
    if (!keyGroups.contains(keyGroupOf(key))) break
    backend.setCurrentKey(key)
    counter.add(Buffer.from(key), state.value() ?? new Uint8Array())
  }
}
