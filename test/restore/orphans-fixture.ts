/** Names as storage gives them, and checkpoints that name what a test says. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { encodeCheckpointMetadata } from '../../src/checkpoint/checkpoint-metadata.js'
import type { SnapshotType } from '../../src/checkpoint/checkpoint-options.js'
import {
  IncrementalRemoteKeyedStateHandle,
  type TableHandle,
} from '../../src/checkpoint/keyed-state-handle.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import type { StreamStateHandle } from '../../src/storage/checkpoint-storage.js'
import { bodyOfBytes, type ObjectStore } from '../../src/storage/object-store.js'

/** The n-th of the names that random ids might have given. */
export function stateName(n: number, { epoch = 1, ending = '.ldb' } = {}): string {
  return `${epoch}-${n.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000${ending}`
}

export const sharedName = (n: number): string => `shared/${stateName(n)}`

export const exclusiveName = (checkpointId: number, n: number): string =>
  `chk-${checkpointId}/${stateName(n, { ending: '' })}`

/** The state of an object that `putObjects` put. */
function stateAt(location: string): StreamStateHandle {
  const bytes = Buffer.from(location)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { kind: 'object', location, sizeBytes: bytes.length, sha256 }
}

function tableAt(location: string): TableHandle {
  const key = Buffer.from([0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).toString('base64')
  const state = stateAt(location)
  return { role: 'delta', level: 0, state, smallest: key, largest: key, largestSequence: 1 }
}

/** The `_metadata` of a checkpoint of one task. */
export function metadataOf(
  checkpointId: number,
  shared: readonly string[],
  exclusive?: string,
  snapshotType: SnapshotType = 'checkpoint',
): Buffer {
  const inline: StreamStateHandle = {
    kind: 'inline',
    data: '',
    sizeBytes: 0,
    sha256: createHash('sha256').digest('hex'),
  }
  const keyedStateHandle = new IncrementalRemoteKeyedStateHandle({
    backendIdentifier: 'backend',
    stateHandleId: 'handle',
    checkpointId,
    keyGroupRange: KeyGroupRange.of(0, 0),
    sharedState: shared.map(tableAt),
    metaState: exclusive === undefined ? inline : stateAt(exclusive),
    checkpointedSize: 0,
  })
  return encodeCheckpointMetadata({
    checkpointId,
    snapshotType,
    epoch: 1,
    timestampMs: 0,
    jobId: 'job',
    operators: [
      {
        operatorId: 'operator',
        maxParallelism: 1,
        subtasks: [{ subtaskIndex: 0, keyedStateHandle }],
      },
    ],
    hostData: null,
  })
}

/** Puts objects of the job, each with its location as its bytes. */
export async function putObjects(store: ObjectStore, locations: readonly string[]): Promise<void> {
  for (const location of locations) {
    await store.put(`job/${location}`, bodyOfBytes(Buffer.from(location)))
  }
}

export async function publish(
  store: ObjectStore,
  checkpointId: number,
  shared: readonly string[],
  exclusive?: string,
): Promise<void> {
  const bytes = metadataOf(checkpointId, shared, exclusive)
  await store.put(`job/chk-${checkpointId}/_metadata`, bodyOfBytes(bytes))
}
