/**
 * The order in which one whole checkpoint touches a directory: state table, meta information, `_metadata`. What a crash or a power
 * failure leaves behind is decided by this order alone, so it is a fixture, and a change of it is a visible one.
 */
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { encodeCheckpointMetadata } from '../../src/checkpoint/checkpoint-metadata.js'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { nodeFileSystem } from '../../src/storage/storage-file-system.js'
import { recordedFileSystem } from '../storage/recorded-file-system.js'
import { handleOf, SMALL_MEMORY_BYTES, temporaryDirectory } from '../support/state-task.js'

const MAX_PARALLELISM = 4
const KEYS = 100

/** Takes checkpoint 1 of one task into a directory that is not there yet; returns what was asked of the file system. */
async function fileOperations(): Promise<string[]> {
  const directory = realpathSync(temporaryDirectory())
  const log: string[] = []
  const fileSystem = recordedFileSystem(nodeFileSystem, directory, log)
  const objects = new DirectoryObjectStore(join(directory, 'store'), { fileSystem })
  // Nothing is inline: all state is in files.
  const storage = new CheckpointStorage(objects, { jobId: 'job', inlineThresholdBytes: 0 })
  const backend = await new LevelDBStateBackend({
    directory: temporaryDirectory(),
    memory: SMALL_MEMORY_BYTES,
  }).createKeyedStateBackend<number>({
    operatorId: 'operator',
    keySerializer: numberKey,
    maxParallelism: MAX_PARALLELISM,
    keyGroupRange: KeyGroupRange.of(0, MAX_PARALLELISM - 1),
  })
  onTestFinished(() => backend.close())
  const state = backend.getState(valueState<number>('value'))
  for (let key = 0; key < KEYS; key++) {
    backend.setCurrentKey(key)
    state.update(key)
  }
  const options = CheckpointOptions.checkpoint()
  const snapshot = await backend.snapshot(1, 0, storage.streamFactory(1), options)
  const subtasks = [{ subtaskIndex: 0, keyedStateHandle: handleOf(snapshot) }]
  const checkpoint = {
    checkpointId: 1,
    snapshotType: options.snapshotType,
    epoch: 1,
    timestampMs: 0,
    jobId: 'job',
    operators: [{ operatorId: 'operator', maxParallelism: MAX_PARALLELISM, subtasks }],
    hostData: null,
  }
  await storage.writeMetadata(1, encodeCheckpointMetadata(checkpoint))
  return log
}

/** What changes nothing on the disk. */
const READING = /^(info|openToRead|readDirectory) /

/** Every name but `_metadata` is partly random: the n-th new name in its folder is `<n>`. Sizes are left out. */
function normalised(log: readonly string[]): string[] {
  const names = new Map<string, string>()
  const countOf = new Map<string, number>()
  const placeholder = (folder: string, name: string): string => {
    const path = folder + name
    const known = names.get(path)
    if (known !== undefined) return known
    const count = (countOf.get(folder) ?? 0) + 1
    countOf.set(folder, count)
    const suffix = name.endsWith('.ldb') ? '.ldb' : ''
    names.set(path, `${folder}<${count}>${suffix}`)
    return placeholder(folder, name)
  }
  return log
    .filter((line) => !READING.test(line))
    .map((line) => line.replace(/^(write \S+) \d+$/, '$1'))
    .map((line) =>
      line.replaceAll(
        /((?:\.pending|shared|chk-1)\/)([^ /]+)/g,
        (path, folder: string, name: string) =>
          name === '_metadata' ? path : placeholder(folder, name),
      ),
    )
}

describe('order of effects', () => {
  it('C2, C3: of one checkpoint is the recorded one', async () => {
    const operations = normalised(await fileOperations())
    await expect(
      `${operations.join('\n')}\n`,
      'One checkpoint touches its directory in another order than test/golden/effects-of-one-checkpoint.txt says. Nothing may be named ' +
        'before it is synced: write, sync, rename (or link), syncDirectory; a new folder is synced into those above it before a name ' +
        'is put there; and `_metadata` comes after all it names. If that still holds and the change is wanted, run the test with ' +
        '--update and say in the CHANGELOG what a crash may leave behind now. If a sync is missing or late, a power failure can ' +
        'leave a checkpoint that names what is not there.',
    ).toMatchFileSnapshot('../golden/effects-of-one-checkpoint.txt')
  })

  it('C2, C3: when `_metadata` gets its name, every file made before has its own, synced', async () => {
    const operations = normalised(await fileOperations())
    const published = operations.findIndex((line) => /^(link|rename) .*\/_metadata$/.test(line))
    expect(published).toBeGreaterThan(0)
    const renames = operations.filter((line) => line.startsWith('rename '))
    // A state table and the meta information.
    expect(renames).toHaveLength(2)
    for (const rename of renames) {
      const [, pending = '', target = ''] = rename.split(' ')
      const folder = target.slice(0, target.lastIndexOf('/'))
      const at = operations.indexOf(rename)
      expect(operations.slice(0, at)).toContain(`sync ${pending}`)
      expect(operations.slice(at, published)).toContain(`syncDirectory ${folder}`)
    }
  })
})
