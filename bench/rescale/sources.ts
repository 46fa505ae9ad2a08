/**
 * The checkpoint that is rescaled: built by the real backends at one parallelism and left in a directory store, where every
 * contender finds its tables as local files.
 */
import { mkdirSync, linkSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CheckpointOptions,
  CheckpointStorage,
  computeKeyGroupRangeForOperatorIndex,
  computeOperatorIndexForKeyGroup,
  DirectoryObjectStore,
  IncrementalRemoteKeyedStateHandle,
  type KeyGroupRange,
  LevelDBStateBackend,
  MemoryBudget,
  stringKey,
  valueState,
  type CheckpointableKeyedStateBackend,
  type IncrementalRemoteKeyedStateHandleFields,
  type StreamStateHandle,
  type TableHandle,
} from '../../src/index.js'
import { FixedRandom } from '../harness/fixed-random.js'
import {
  contentsByKeyGroup,
  keyGroupOf,
  keyOf,
  MAX_PARALLELISM,
  RECORD_BYTES,
  STATE_NAME,
  valueOf,
  type Contents,
} from './records.js'

export const OPERATOR_ID = 'rescaled'
export const MEMORY_BYTES: number = 256 * 2 ** 20
export const payloadState: ReturnType<typeof valueState<Uint8Array>> =
  valueState<Uint8Array>(STATE_NAME)

const JOB_ID = 'job'
/** After the first one: so there are deltas, as in any job that runs. */
const INCREMENTAL_CHECKPOINTS = 5
/** Between two checkpoints, however large the state is: what changes depends on the input. */
const CHANGED_RECORDS = 10_000
/** Of what is changed. */
const REMOVED_FRACTION = 0.1

export interface Sources {
  readonly directory: string
  readonly handles: readonly IncrementalRemoteKeyedStateHandle[]
  readonly contentsByKeyGroup: readonly Contents[]
}

export function rangesOf(parallelism: number): KeyGroupRange[] {
  return Array.from({ length: parallelism }, (_, index) =>
    computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, parallelism, index),
  )
}

export function storageOf(directory: string): CheckpointStorage {
  return new CheckpointStorage(new DirectoryObjectStore(join(directory, 'checkpoints')), {
    jobId: JOB_ID,
    inlineThresholdBytes: 0,
  })
}

/** The file that a table is in. */
export function tablePath(directory: string, state: StreamStateHandle): string {
  if (state.kind === 'inline') throw new Error('every table is an object of its own')
  return join(directory, 'checkpoints', JOB_ID, state.location)
}

export function tableBytes(tables: readonly TableHandle[]): number {
  return tables.reduce((bytes, { state }) => bytes + state.sizeBytes, 0)
}

/** Has every table as a local file: a download is a hard link, in place of what a task finds on the disk it left them on. */
export class LinkingStorage extends CheckpointStorage {
  readonly #directory: string

  constructor(directory: string) {
    super(new DirectoryObjectStore(join(directory, 'checkpoints')), { jobId: JOB_ID })
    this.#directory = directory
  }

  override download(state: StreamStateHandle, path: string): Promise<void> {
    linkSync(tablePath(this.#directory, state), path)
    return Promise.resolve()
  }
}

export function readSources(directory: string): Sources {
  const text = readFileSync(join(directory, 'sources.json'), 'utf8')
  const sources = JSON.parse(text) as {
    handles: IncrementalRemoteKeyedStateHandleFields[]
    contentsByKeyGroup: Contents[]
  }
  return {
    directory,
    contentsByKeyGroup: sources.contentsByKeyGroup,
    handles: sources.handles.map((fields) => IncrementalRemoteKeyedStateHandle.fromJSON(fields)),
  }
}

/** Writes `stateBytes` at `parallelism`, takes checkpoints, and leaves the last one in `directory`. */
export async function buildSources(
  directory: string,
  parallelism: number,
  stateBytes: number,
): Promise<void> {
  mkdirSync(directory, { recursive: true })
  const job = await SourceJob.start(directory, parallelism)
  const versions = new Uint8Array(Math.ceil(stateBytes / RECORD_BYTES))
  for (let record = 0; record < versions.length; record++) await job.write(versions, record)
  await job.checkpoint()
  const random = new FixedRandom()
  for (let checkpoint = 0; checkpoint < INCREMENTAL_CHECKPOINTS; checkpoint++) {
    for (let changes = 0; changes < CHANGED_RECORDS; changes++) {
      const drawn = random.nextUint32()
      const record = drawn % versions.length
      if ((drawn >>> 8) % (1 / REMOVED_FRACTION) === 0) await job.remove(versions, record)
      else await job.write(versions, record)
    }
    await job.checkpoint()
  }
  const handles = await job.close()
  const text = JSON.stringify({ handles, contentsByKeyGroup: contentsByKeyGroup(versions) })
  writeFileSync(join(directory, 'sources.json'), text)
}

type Backend = CheckpointableKeyedStateBackend<string>

class SourceJob {
  readonly #backends: readonly Backend[]
  readonly #storage: CheckpointStorage
  #checkpointId = 0
  #handles: readonly IncrementalRemoteKeyedStateHandle[] = []

  private constructor(backends: readonly Backend[], storage: CheckpointStorage) {
    this.#backends = backends
    this.#storage = storage
  }

  static async start(directory: string, parallelism: number): Promise<SourceJob> {
    const stateBackend = new LevelDBStateBackend({
      directory: join(directory, 'work'),
      memory: new MemoryBudget(MEMORY_BYTES * parallelism, { backends: parallelism }),
    })
    const backends: Backend[] = []
    for (const keyGroupRange of rangesOf(parallelism)) {
      const options = { operatorId: OPERATOR_ID, keySerializer: stringKey, keyGroupRange }
      backends.push(
        await stateBackend.createKeyedStateBackend({ ...options, maxParallelism: MAX_PARALLELISM }),
      )
    }
    return new SourceJob(backends, storageOf(directory))
  }

  async write(versions: Uint8Array, record: number): Promise<void> {
    const version = (versions[record] ?? 0) + 1
    versions[record] = version
    const backend = this.#at(record)
    backend.getState(payloadState).update(valueOf(record, version))
    if (backend.needsDrain) await backend.drain()
  }

  async remove(versions: Uint8Array, record: number): Promise<void> {
    versions[record] = 0
    const backend = this.#at(record)
    backend.getState(payloadState).clear()
    if (backend.needsDrain) await backend.drain()
  }

  #at(record: number): Backend {
    const key = keyOf(record)
    const parallelism = this.#backends.length
    const index = computeOperatorIndexForKeyGroup(MAX_PARALLELISM, parallelism, keyGroupOf(key))
    const backend = this.#backends[index]
    if (backend === undefined) throw new Error(`no subtask ${index}`)
    backend.setCurrentKey(key)
    return backend
  }

  async checkpoint(): Promise<void> {
    const id = ++this.#checkpointId
    const handles: IncrementalRemoteKeyedStateHandle[] = []
    for (const backend of this.#backends) {
      const factory = this.#storage.streamFactory(id)
      const result = await backend.snapshot(id, 0, factory, CheckpointOptions.checkpoint())
      const { jobManagerOwnedSnapshot: handle } = result
      if (handle === undefined) throw new Error('a snapshot of state has a handle')
      handles.push(handle)
    }
    for (const backend of this.#backends) backend.notifyCheckpointComplete(id)
    this.#handles = handles
  }

  async close(): Promise<readonly IncrementalRemoteKeyedStateHandle[]> {
    for (const backend of this.#backends) await backend.close()
    return this.#handles
  }
}
