/** S6: a failed batch is final, with LevelDB really failing. */
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import {
  IncrementalRemoteKeyedStateHandle,
  type IncrementalRemoteKeyedStateHandleFields,
} from '../../src/checkpoint/keyed-state-handle.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { logFileName, tableFileName } from '../../src/table/manifest.js'
import { rejection, StateTask, temporaryDirectory } from '../support/state-task.js'

/** A device that refuses every write for want of space. */
const FULL = '/dev/full'
const limitedProcess = fileURLToPath(new URL('./limited-process.ts', import.meta.url))

/** LevelDB's next files of this name are on a full disk: it opens them as they are. */
function fillDisk(task: StateTask, fileName: (number: number) => string): void {
  const directory = join(task.incarnation, 'db')
  const used = readdirSync(directory).map((name) => Number(/\d+/.exec(name)?.[0] ?? 0))
  const next = Math.max(...used) + 1
  for (let number = next; number < next + 50; number++) {
    symlinkSync(FULL, join(directory, fileName(number)))
  }
}

/** Writes until the store has failed; returns what the writer met. */
async function writeUntilFailure(task: StateTask): Promise<unknown> {
  return rejection(
    (async () => {
      // Far more than the buffer and a memtable hold.
      await task.put(0, 20_000, (key) => `much of ${key} `.repeat(100))
      await task.snapshot()
    })(),
  )
}

describe.skipIf(!existsSync(FULL))('S6 on a full disk', () => {
  it.each([
    ['log', logFileName],
    ['table', tableFileName],
  ])('S6: a %s that cannot be written is DISK_FULL, for good', async (_what, fileName) => {
    const task = await StateTask.start()
    await task.put(0, 100, (key) => `value ${key}`)
    const { handle } = await task.checkpoint()
    fillDisk(task, fileName)

    const error = await writeUntilFailure(task)
    expect(error).toMatchObject({ code: 'DISK_FULL', kind: 'unavailable' })
    const { backend, states } = task
    expect(() => backend.setCurrentKey(1)).toThrow(error)
    expect(() => states.value.value()).toThrow(error)
    expect(() => states.value.update('late')).toThrow(error)
    expect(await rejection(backend.drain())).toBe(error)
    expect(await rejection(task.snapshot())).toBe(error)
    await backend.close()
    await backend.close()
    expect(readdirSync(task.directory)).toEqual([])

    await task.restore(handle)
    expect(task.values(0, 100)).toEqual(Array.from({ length: 100 }, (_, key) => `value ${key}`))
    expect(task.values(100, 101)).toEqual([undefined])
  })

  it('S6: a snapshot that waits for the failed generation rejects with the same error', async () => {
    const task = await StateTask.start({ policy: { smallStateBytes: 0 } })
    await task.put(0, 100, (key) => `value ${key}`)
    fillDisk(task, logFileName)
    const snapshots: Promise<unknown>[] = []
    for (let round = 0; round < 6; round++) {
      for (let key = 0; key < 200; key++) {
        task.backend.setCurrentKey(key)
        task.states.value.update(`${round} of ${key} `.repeat(200))
      }
      snapshots.push(task.snapshot())
    }
    const outcomes = await Promise.allSettled(snapshots)
    const errors: unknown[] = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason] : [],
    )
    expect(errors.length).toBeGreaterThan(1)
    expect(errors[0]).toMatchObject({ code: 'DISK_FULL' })
    expect(new Set(errors).size).toBe(1)
  })
})

describe.skipIf(process.platform === 'win32')('S6 at a file size limit', () => {
  it('S6: a process that may write no more meets STORE_FAILED at every call, and its checkpoint restores', async () => {
    const [workDirectory, checkpoints] = [temporaryDirectory(), temporaryDirectory()]
    // In units of 1,024 bytes, as bash counts.
    const { stdout } = await promisify(execFile)('bash', [
      '-c',
      'ulimit -f 600 && exec "$@"',
      'bash',
      process.execPath,
      '--import',
      'tsx',
      limitedProcess,
      workDirectory,
      checkpoints,
    ])
    const { handle, codes } = JSON.parse(stdout) as {
      handle: IncrementalRemoteKeyedStateHandleFields
      codes: string[]
    }
    expect(codes).toEqual(Array.from({ length: 6 }, () => 'STORE_FAILED'))
    expect(readdirSync(workDirectory)).toEqual([])

    const stateBackend = new LevelDBStateBackend({ directory: workDirectory })
    await using backend = await stateBackend.createKeyedStateBackend<number>({
      operatorId: 'operator',
      keySerializer: numberKey,
      maxParallelism: 16,
      keyGroupRange: KeyGroupRange.of(0, 15),
      stateHandles: [IncrementalRemoteKeyedStateHandle.fromJSON(handle)],
      checkpointStorage: new CheckpointStorage(new DirectoryObjectStore(checkpoints), {
        jobId: 'job',
      }),
    })
    const value = backend.getState(valueState<string>('value'))
    for (let key = 0; key < 100; key++) {
      backend.setCurrentKey(key)
      expect(value.value()).toBe(`value ${key}`)
    }
  })
})
