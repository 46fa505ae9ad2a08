/** What a checkpoint is built on (C1), and when local files may go. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import {
  handleOf,
  rejection,
  StateTask,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'

const KEYS = 50
/** Everything is a delta. */
const DELTAS = { smallStateBytes: 2 ** 30, deltaCountMax: 1000 }

const text = (round: number) => (key: number) => `round ${round} of ${key}`

const shared = (handle: Handle): string[] => handle.objects().shared

async function expectState(task: StateTask, handle: Handle, round: number): Promise<void> {
  await task.restore(handle)
  expect(task.values(0, KEYS)).toEqual(Array.from({ length: KEYS }, (_, key) => text(round)(key)))
}

describe.each<BackendKind>(['leveldb', 'hashmap'])('C1, %s', (kind) => {
  const start = async (): Promise<StateTask> => StateTask.start({ kind, policy: DELTAS })

  it('C1: a pending checkpoint is never a base: the next names none of its tables', async () => {
    const task = await start()
    await task.put(0, KEYS, text(1))
    const pending = handleOf(await task.snapshot())
    await task.put(0, KEYS, text(2))
    const next = handleOf(await task.snapshot())
    expect(shared(next)).toHaveLength(1)
    expect(shared(next)).not.toEqual(expect.arrayContaining(shared(pending)))
    await task.objects.delete(shared(pending).map((location) => `job/${location}`))
    await expectState(task, next, 2)
  })

  it('C1: an aborted checkpoint is never a base, and its deltas are in the next (I2)', async () => {
    const task = await start()
    await task.put(0, KEYS, text(1))
    const { handle: completed } = await task.checkpoint()
    await task.put(0, 10, text(2))
    const aborted = handleOf(await task.snapshot())
    task.backend.notifyCheckpointAborted(aborted.checkpointId)
    task.backend.notifyCheckpointComplete(aborted.checkpointId)
    await task.put(10, KEYS, text(2))
    const { handle } = await task.checkpoint()
    const ofAborted = shared(aborted).filter((location) => !shared(completed).includes(location))
    expect(ofAborted).toHaveLength(1)
    expect(shared(handle)).toEqual(expect.arrayContaining(shared(completed)))
    await task.objects.delete(ofAborted.map((location) => `job/${location}`))
    await expectState(task, handle, 2)
  })

  it('C1: a savepoint is never a base, and names no table of a checkpoint', async () => {
    const task = await start()
    await task.put(0, KEYS, text(1))
    const { handle: completed } = await task.checkpoint()
    const savepoint = handleOf(await task.snapshot(CheckpointOptions.savepoint()))
    task.backend.notifyCheckpointComplete(savepoint.checkpointId)
    expect(savepoint.sharedState.length).toBeGreaterThan(0)
    for (const { state } of savepoint.sharedState) {
      expect(state).toMatchObject({
        location: expect.stringMatching(`^chk-${savepoint.checkpointId}/`) as string,
      })
    }
    await task.put(0, KEYS, text(2))
    const { handle } = await task.checkpoint()
    expect(shared(handle)).toEqual([...shared(completed), expect.any(String)])
    await task.objects.delete(shared(savepoint).map((location) => `job/${location}`))
    await expectState(task, handle, 2)
  })

  it('a full checkpoint names no older table, and is a base', async () => {
    const task = await start()
    await task.put(0, KEYS, text(1))
    const { handle: first } = await task.checkpoint()
    await task.put(0, 10, text(1))
    const { handle: full } = await task.checkpoint(CheckpointOptions.fullCheckpoint())
    for (const location of shared(full)) expect(shared(first)).not.toContain(location)
    await task.put(0, KEYS, text(2))
    const { handle } = await task.checkpoint()
    expect(shared(handle)).toEqual([...shared(full), expect.any(String)])
    await task.objects.delete(shared(first).map((location) => `job/${location}`))
    await expectState(task, handle, 2)
  })

  it('C1: a lost completion notice is made up for at the next barrier', async () => {
    const task = await start()
    await task.put(0, KEYS, text(1))
    const first = handleOf(await task.snapshot())
    await task.put(0, 5, text(2))
    const { handle, kind: made } = await task.checkpoint(
      CheckpointOptions.checkpoint(first.checkpointId),
    )
    expect(made).toBe('delta')
    expect(shared(handle)).toEqual([...shared(first), expect.any(String)])
  })

  it('C1: an older notice that arrives late changes nothing', async () => {
    const task = await start()
    await task.put(0, KEYS, text(1))
    const first = handleOf(await task.snapshot())
    await task.put(0, KEYS, text(2))
    const second = handleOf(await task.snapshot())
    task.backend.notifyCheckpointComplete(second.checkpointId)
    task.backend.notifyCheckpointComplete(first.checkpointId)
    task.backend.notifyCheckpointAborted(first.checkpointId)
    const third = handleOf(await task.snapshot(CheckpointOptions.checkpoint(first.checkpointId)))
    expect(shared(third)).toEqual(shared(second))
    expect(shared(third)).not.toEqual(shared(first))
  })

  it('a notice for an unknown id changes nothing', async () => {
    const task = await start()
    await task.put(0, KEYS, text(1))
    const { handle } = await task.checkpoint()
    task.backend.notifyCheckpointComplete(1000)
    task.backend.notifyCheckpointAborted(1000)
    task.backend.notifyCheckpointSubsumed(1000)
    const next = await task.checkpoint()
    expect(next.kind).toBe('none')
    expect(shared(next.handle)).toEqual(shared(handle))
  })

  it('a checkpoint without a write between uploads no table', async () => {
    const task = await start()
    await task.put(0, KEYS, text(1))
    const { handle: first } = await task.checkpoint()
    const second = await task.checkpoint()
    expect(second).toMatchObject({ kind: 'none', handle: { sharedState: first.sharedState } })
    expect(second.uploadedBytes).toBe(second.handle.metaState.sizeBytes)
  })

  it('two snapshots in flight at once each hold their own state', async () => {
    const task = await start()
    await task.put(0, KEYS, text(1))
    const first = task.snapshot()
    await task.put(0, KEYS, text(2))
    const second = task.snapshot()
    await task.put(0, KEYS, text(3))
    const handles = [handleOf(await first), handleOf(await second)]
    for (const [index, handle] of handles.entries()) await expectState(task, handle, index + 1)
  })
})

describe.each<BackendKind>(['leveldb', 'hashmap'])('snapshot ids, %s', (kind) => {
  const isId = (id: number) => Number.isSafeInteger(id) && id >= 1
  const snapshot = (task: StateTask, id: number, options = CheckpointOptions.checkpoint()) =>
    task.backend.snapshot(id, 0, task.storage.streamFactory(isId(id) ? id : 1), options)
  const refused = async (task: StateTask, id: number, options?: CheckpointOptions) => {
    const error = await rejection(snapshot(task, id, options))
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', details: { snapshotId: id } })
  }

  it('ascend, those of checkpoints and savepoints together, whatever became of the snapshots', async () => {
    const task = await StateTask.start({ kind })
    await task.put(0, KEYS, text(1))
    for (const id of [0, -1, 1.5, Number.MAX_SAFE_INTEGER + 1]) await refused(task, id)
    await snapshot(task, 3)
    await refused(task, 3)
    await refused(task, 2, CheckpointOptions.fullCheckpoint())
    await refused(task, 3, CheckpointOptions.savepoint())
    await snapshot(task, 7, CheckpointOptions.savepoint())
    await refused(task, 7)
    task.objects.plan = () => 'before'
    expect(await rejection(snapshot(task, 8))).toMatchObject({ code: 'STORAGE_FAILED' })
    task.objects.heal()
    await refused(task, 8)
    const { jobManagerOwnedSnapshot } = await snapshot(task, 9)
    expect(jobManagerOwnedSnapshot?.checkpointId).toBe(9)
  })

  it('are above that of what was restored', async () => {
    const task = await StateTask.start({ kind })
    await task.put(0, KEYS, text(1))
    await snapshot(task, 5)
    const restored = handleOf(await snapshot(task, 20))
    await task.restore(restored)
    await refused(task, 20)
    await refused(task, 6, CheckpointOptions.savepoint())
    expect(handleOf(await snapshot(task, 21)).checkpointId).toBe(21)
  })

  it('a snapshot that is refused takes no id', async () => {
    const task = await StateTask.start({ kind })
    await task.put(0, KEYS, text(1))
    const keys = task.backend.getKeys('value')[Symbol.asyncIterator]()
    await keys.next()
    expect(await rejection(snapshot(task, 4))).toMatchObject({ code: 'SNAPSHOT_DURING_PROCESSING' })
    await keys.return?.()
    expect(handleOf(await snapshot(task, 4)).checkpointId).toBe(4)
  })
})

describe('merged deltas on local disk', () => {
  const MERGES = { smallStateBytes: 2 ** 30, deltaCountMax: 1 }

  it('stay while their checkpoint is under way, whatever is notified meanwhile', async () => {
    const task = await StateTask.start({ policy: MERGES })
    await task.put(0, KEYS, text(1))
    const { handle: first } = await task.checkpoint()
    await task.put(0, KEYS, text(2))
    const second = await task.snapshot()
    expect(second.kind).toBe('merge')
    await task.put(0, KEYS, text(3))
    // The merge is done when the upload begins: then notices of earlier checkpoints come in.
    task.objects.plan = (operation) => {
      if (operation === 'put') {
        task.backend.notifyCheckpointAborted(handleOf(second).checkpointId)
        task.backend.notifyCheckpointComplete(first.checkpointId)
      }
      return undefined
    }
    const third = await task.checkpoint()
    task.objects.heal()
    expect(third.kind).toBe('merge')
    await task.put(0, KEYS, text(4))
    const fourth = await task.checkpoint()
    expect(fourth.kind).toBe('merge')
    await expectState(task, fourth.handle, 4)
  })

  it('stay while another snapshot ends', async () => {
    const task = await StateTask.start({ policy: MERGES })
    await task.put(0, KEYS, text(1))
    await task.checkpoint()
    await task.put(0, KEYS, text(2))
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    task.objects.plan = async (operation, key) => {
      if (operation === 'put' && key.startsWith('job/shared/')) await held
      return undefined
    }
    const merging = task.snapshot()
    const failing = task.snapshot(CheckpointOptions.savepoint())
    await failing
    release()
    expect((await merging).kind).toBe('merge')
    task.objects.heal()
    task.backend.notifyCheckpointComplete(handleOf(await merging).checkpointId)
    await task.put(0, KEYS, text(3))
    const last = await task.checkpoint()
    expect(last.kind).toBe('merge')
    await expectState(task, last.handle, 3)
  })

  it('go when nobody names them, and no other file does', async () => {
    const task = await StateTask.start({ policy: MERGES })
    for (let round = 1; round <= 5; round++) {
      await task.put(0, KEYS, text(round))
      const { kind, handle } = await task.checkpoint()
      expect(kind).toBe(round === 1 ? 'delta' : 'merge')
      expect(handle.sharedState).toHaveLength(1)
      expect(task.localTables()).toHaveLength(1)
    }
  })

  it('go after a failed upload', async () => {
    const task = await StateTask.start({ policy: MERGES })
    await task.put(0, KEYS, text(1))
    await task.checkpoint()
    const [completed] = task.localTables()
    await task.put(0, KEYS, text(2))
    task.objects.plan = (operation) => (operation === 'put' ? 'before' : undefined)
    await expect(task.snapshot()).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    expect(task.localTables()).toEqual([completed, expect.any(String)])
    expect(existsSync(join(task.incarnation, 'db'))).toBe(true)
  })
})
