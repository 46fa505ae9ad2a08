/** What was frozen for a checkpoint goes to LevelDB behind it: when that happens, and what is read meanwhile. */
import { beforeEach, describe, expect, it, onTestFinished, vi, type MockInstance } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { LevelDBStore } from '../../src/store/leveldb-store.js'
import { WriteBuffer } from '../../src/store/write-buffer.js'
import { failing } from '../support/fault-object-store.js'
import { turns, until } from '../support/held-writes.js'
import { handleOf, rejection, SMALL_MEMORY_BYTES, StateTask } from '../support/state-task.js'

const KEYS = 3000
const text = (key: number): string => `value of ${key}`
const TEXTS = Array.from({ length: KEYS }, (_, key) => text(key))

let commits: MockInstance<LevelDBStore['commit']>

beforeEach(() => {
  commits = vi.spyOn(LevelDBStore.prototype, 'commit')
  onTestFinished(() => commits.mockRestore())
})

/** Writes every key and takes a snapshot, which is not told the outcome of yet. */
async function withSnapshot(): Promise<{ task: StateTask; checkpointId: number }> {
  const task = await StateTask.start()
  await task.put(0, KEYS, text)
  const { checkpointId, kind } = await snapshotOf(task)
  expect(kind).toBe('delta')
  await turns()
  expect(commits).not.toHaveBeenCalled()
  return { task, checkpointId }
}

async function snapshotOf(task: StateTask): Promise<{ checkpointId: number; kind: string }> {
  const result = await task.snapshot()
  return { checkpointId: handleOf(result).checkpointId, kind: result.kind }
}

describe('What was frozen for a checkpoint', () => {
  it('goes to LevelDB when the checkpoint is completed, and is read all the while', async () => {
    const { task, checkpointId } = await withSnapshot()
    expect(task.values(0, KEYS)).toEqual(TEXTS)
    task.backend.notifyCheckpointComplete(checkpointId)
    await until(() => commits.mock.calls.length === 2)
    expect(task.values(0, KEYS)).toEqual(TEXTS)
  })

  it('goes there when the checkpoint is aborted', async () => {
    const { task, checkpointId } = await withSnapshot()
    task.backend.notifyCheckpointAborted(checkpointId)
    await until(() => commits.mock.calls.length === 2)
    expect(task.values(0, KEYS)).toEqual(TEXTS)
  })

  it('goes there before what is frozen next, though nobody tells the outcome', async () => {
    const { task } = await withSnapshot()
    await task.put(0, 1, () => 'later')
    const later = handleOf(await task.snapshot())
    expect(commits).toHaveBeenCalledTimes(2)
    expect(task.values(0, 2)).toEqual(['later', text(1)])
    await task.restore(later)
    expect(task.values(0, KEYS)).toEqual(TEXTS.with(0, 'later'))
  })

  it('goes there when the snapshot fails', async () => {
    const task = await StateTask.start()
    await task.put(0, KEYS, text)
    task.objects.plan = failing('put', '')
    await rejection(task.snapshot())
    await until(() => commits.mock.calls.length === 2)
    expect(task.values(0, KEYS)).toEqual(TEXTS)
  })

  it('goes there first for a checkpoint that takes its tables', async () => {
    const { task } = await withSnapshot()
    const handle = handleOf(await task.snapshot(CheckpointOptions.fullCheckpoint()))
    expect(commits).toHaveBeenCalledTimes(2)
    await task.restore(handle)
    expect(task.values(0, KEYS)).toEqual(TEXTS)
  })

  it('is let go of behind a savepoint, the end of which nobody tells', async () => {
    const retire = vi.spyOn(WriteBuffer.prototype, 'retire')
    onTestFinished(() => retire.mockRestore())
    const task = await StateTask.start()
    await task.put(0, KEYS, text)
    await task.snapshot(CheckpointOptions.savepoint())
    await until(() => retire.mock.calls.length === 1)
    expect(task.values(0, KEYS)).toEqual(TEXTS)
  })

  it('makes way when the write buffer fills up, before anybody must wait', async () => {
    const { task } = await withSnapshot()
    const { value } = task.states
    let key = KEYS
    while (commits.mock.calls.length < 3) {
      task.backend.setCurrentKey(key)
      value.update(text(key))
      expect(task.backend.needsDrain).toBe(false)
      if (++key % 100 === 0) await turns()
    }
    expect(task.values(0, key)).toEqual(Array.from({ length: key }, (_, index) => text(index)))
  })

  it('makes way for a drain, also where the generation behind it is not full', async () => {
    const { task, checkpointId } = await withSnapshot()
    task.backend.notifyCheckpointComplete(checkpointId)
    await until(() => commits.mock.calls.length === 2)
    const large = 'x'.repeat(SMALL_MEMORY_BYTES / 600)
    await task.put(0, 100, () => large)
    await snapshotOf(task)
    let key = 100
    while (!task.backend.needsDrain) await task.put(key, ++key, () => large)
    expect(commits).toHaveBeenCalledTimes(2)
    await task.backend.drain()
    expect(commits.mock.calls.length).toBeGreaterThan(2)
    expect(task.values(0, key)).toEqual(Array.from({ length: key }, () => large))
  })

  it('is not held where it is more than may wait', async () => {
    const retire = vi.spyOn(WriteBuffer.prototype, 'retire')
    onTestFinished(() => retire.mockRestore())
    const task = await StateTask.start({ memory: 8 * SMALL_MEMORY_BYTES })
    await task.put(0, 40_000, text)
    await task.snapshot()
    await until(() => commits.mock.calls.length >= 16)
    // Nobody tells the end of the checkpoint, yet the buffer has its room back.
    await until(() => retire.mock.calls.length === 1)
    await until(() => commits.mock.calls.length === 20)
    expect(task.values(39_999, 40_001)).toEqual([text(39_999), undefined])
  })

  it('is dropped by a close', async () => {
    const { task } = await withSnapshot()
    await task.close()
    expect(commits).not.toHaveBeenCalled()
  })
})
