/** What a checkpoint asks of S3, request by request: each is paid for. */
import { expect, it, onTestFinished } from 'vitest'
import {
  CheckpointCoordinator,
  type CheckpointTask,
} from '../../src/host/checkpoint-coordinator.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { S3ObjectStore } from '../../src/storage/s3/s3-object-store.js'
import { HastyClock, storeOptionsOf } from '../support/s3-server/s3-fixture.js'
import { S3Server } from '../support/s3-server/s3-server.js'
import { SMALL_MEMORY_BYTES, temporaryDirectory } from '../support/state-task.js'

const MAX_PARALLELISM = 8
const OPERATOR_ID = 'operator'
/** A delta of them is too large to be inlined. */
const KEYS = 300
const VALUE_BYTES = 200

it('a delta checkpoint of one task is a table, `_metadata` and a look at the epoch; the one before it goes in one deletion', async () => {
  const server = await S3Server.start()
  onTestFinished(() => server.stop())
  const store = await S3ObjectStore.open(storeOptionsOf(server, new HastyClock()))
  onTestFinished(() => store.close())
  const backend = await new LevelDBStateBackend({
    directory: temporaryDirectory(),
    memory: SMALL_MEMORY_BYTES,
  }).createKeyedStateBackend<number>({
    operatorId: OPERATOR_ID,
    keySerializer: numberKey,
    maxParallelism: MAX_PARALLELISM,
    keyGroupRange: KeyGroupRange.of(0, MAX_PARALLELISM - 1),
  })
  onTestFinished(() => backend.close())
  const storage = new CheckpointStorage(store, { jobId: 'job' })
  const coordinator = new CheckpointCoordinator({
    storage,
    failJob: (error) => expect.unreachable(error.message),
  })
  onTestFinished(() => coordinator.close())
  await coordinator.restore()
  const task = {
    snapshot: (...[id, timestampMs, options, signal]: SnapshotRequest) =>
      backend.snapshot(id, timestampMs, storage.streamFactory(id, options.target), options, {
        signal,
      }),
    notifyCheckpointComplete: (id: number) => backend.notifyCheckpointComplete(id),
    notifyCheckpointAborted: (id: number) => backend.notifyCheckpointAborted(id),
    notifyCheckpointSubsumed: (id: number) => backend.notifyCheckpointSubsumed(id),
  }
  coordinator.start([{ operatorId: OPERATOR_ID, maxParallelism: MAX_PARALLELISM, tasks: [task] }])

  const state = backend.getState(valueState<Uint8Array>('payload'))
  for (let id = 1; id <= 5; id++) {
    for (let key = 0; key < KEYS; key++) {
      backend.setCurrentKey(id * KEYS + key)
      state.update(new Uint8Array(VALUE_BYTES).fill(id))
    }
    server.seen.length = 0
    const event = await coordinator.triggerCheckpoint(null)
    expect(event).toMatchObject({ status: 'completed', kind: 'delta' })
    const asked = server.seen.map(({ operation, key }) =>
      `${operation} ${key.replace(/1-[0-9a-f-]{36}/, '*')}`.trimEnd(),
    )
    expect(asked).toEqual([
      'PutObject job/shared/*.ldb',
      `PutObject job/chk-${id}/_metadata`,
      'ListObjectsV2',
      ...(id === 1 ? [] : ['DeleteObjects']),
    ])
  }
  expect([...server.bucket.objects.keys()].filter((key) => key.includes('chk-'))).toEqual([
    'job/chk-5/_metadata',
  ])
})

type SnapshotRequest = Parameters<CheckpointTask['snapshot']>
