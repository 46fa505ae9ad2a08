/** What a released version wrote is read by every later one: each directory beside this file that has an `expected.json`. */
import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { stateHandlesOf, type CompletedCheckpoint } from '../../src/checkpoint/completed-checkpoint.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { storedCheckpoints } from '../../src/host/checkpoint-selection.js'
import { readProgress } from '../../src/host/source-progress.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { computeKeyGroupRangeForOperatorIndex } from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { openSnapshot } from '../../src/restore/snapshot-location.js'
import { verifyCheckpoint } from '../../src/restore/verify-checkpoint.js'
import type { StateBackend } from '../../src/state-backend.js'
import type { CheckpointStateReader } from '../../src/storage/checkpoint-state-reader.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { Effects, MAX_PARALLELISM } from '../crash/effects.js'
import { temporaryDirectory } from '../support/state-task.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const versions = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

const operatorId = 'operator'
const stateBackends: readonly ((directory: string) => StateBackend)[] = [
  (directory) => new LevelDBStateBackend({ directory }),
  () => new HashMapStateBackend(),
]

async function expectContents(
  checkpoint: CompletedCheckpoint,
  state: CheckpointStateReader,
  expected: Readonly<Record<number, [number, unknown][]>>,
): Promise<void> {
  expect(await verifyCheckpoint(state, checkpoint)).toMatchObject({ problems: [] })
  const { recordsInState } = readProgress(checkpoint, {
    operatorId,
    maxParallelism: MAX_PARALLELISM,
  })
  const keys = expected[recordsInState]
  if (keys === undefined) throw new Error(`nothing is known of position ${recordsInState}`)
  for (const stateBackend of stateBackends) {
    for (const parallelism of [1, 3]) {
      const contents = new Map<number, unknown>()
      for (let index = 0; index < parallelism; index++) {
        const backend = await stateBackend(temporaryDirectory()).createKeyedStateBackend({
          operatorId,
          keySerializer: numberKey,
          maxParallelism: MAX_PARALLELISM,
          keyGroupRange: computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, parallelism, index),
          stateHandles: stateHandlesOf(checkpoint, operatorId),
          checkpointStorage: state,
        })
        const part = await new Effects(backend).contents()
        for (const [key, content] of part) contents.set(key, content)
        await backend.close()
      }
      // What JSON cannot hold, undefined, was left out.
      expect(JSON.parse(JSON.stringify([...contents].sort(([a], [b]) => a - b)))).toEqual(keys)
    }
  }
}

it('there is a directory of the first version', () => {
  expect(versions).toContain('v1')
})

describe.each(versions)('what %s wrote', (version) => {
  const expected = JSON.parse(
    readFileSync(join(here, version, 'expected.json'), 'utf8'),
  ) as Record<number, [number, unknown][]>

  /** A copy: nothing here may change what is golden. */
  function objectStore(): DirectoryObjectStore {
    const copy = join(temporaryDirectory(), 'storage')
    cpSync(join(here, version, 'storage'), copy, { recursive: true })
    return new DirectoryObjectStore(copy)
  }

  it.each(['leveldb', 'hashmap'])('as checkpoints of the %s backend is read', async (jobId) => {
    const storage = new CheckpointStorage(objectStore(), { jobId })
    const stored = await storedCheckpoints(storage, {})
    expect(stored).toHaveLength(2)
    for (const { read } of stored) {
      if ('error' in read) throw read.error
      await expectContents(read.checkpoint, storage, expected)
    }
  })

  it.each(['leveldb', 'hashmap'])('as a savepoint of the %s backend is read', async (jobId) => {
    const { checkpoint, state } = await openSnapshot(objectStore(), `savepoints/${jobId}`)
    expect(checkpoint.snapshotType).toBe('savepoint')
    await expectContents(checkpoint, state, expected)
  })
})
