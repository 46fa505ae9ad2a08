/** A snapshot that takes LevelDB's tables waits for its writes; what is completed meanwhile must not confuse it. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import type { SnapshotResult } from '../../src/checkpoint/snapshotable.js'
import { LevelDBStore } from '../../src/store/leveldb-store.js'
import { HeldWrites, turns, until } from '../support/held-writes.js'
import { handleOf, StateTask, type Handle } from '../support/state-task.js'

const KEYS = 100
const text = (round: number) => (key: number) => `${round} of ${key} `.repeat(20)
const texts = (round: number, keys: number): string[] =>
  Array.from({ length: keys }, (_, key) => text(round)(key))

/** Writes and takes a snapshot that LevelDB keeps waiting, completes the checkpoint before it meanwhile, and lets it go on. */
async function snapshotAcross(
  completed: SnapshotResult,
  task: StateTask,
  writes: HeldWrites,
  { write, options }: { write: () => Promise<void>; options: CheckpointOptions },
): Promise<Handle> {
  await turns()
  writes.isHolding = true
  await write()
  const snapshot = task.snapshot(options)
  snapshot.catch(() => undefined)
  await until(() => writes.count === 1)
  await turns()
  task.backend.notifyCheckpointComplete(handleOf(completed).checkpointId)
  writes.open()
  return handleOf(await snapshot)
}

describe('While a checkpoint is completed,', () => {
  it('a savepoint that waits for LevelDB names each table once', async () => {
    const task = await StateTask.start()
    const writes = new HeldWrites()
    writes.open()
    await task.put(0, KEYS, text(1))
    const handle = await snapshotAcross(await task.snapshot(), task, writes, {
      write: () => task.put(0, 1, text(1)),
      options: CheckpointOptions.savepoint(),
    })
    const shas = handle.sharedState.map(({ state }) => state.sha256)
    expect(shas).toEqual([...new Set(shas)])
    await task.restore(handle)
    expect(task.values(0, KEYS)).toEqual(texts(1, KEYS))
  })

  it('a savepoint that waits for LevelDB does not miss tables that were merged', async () => {
    const task = await StateTask.start()
    const writes = new HeldWrites()
    writes.open()
    for (let round = 1; round <= 5; round++) {
      await task.put(0, KEYS, text(round))
      task.backend.notifyCheckpointAborted(handleOf(await task.snapshot()).checkpointId)
      await turns()
    }
    await task.put(0, KEYS, text(6))
    const first = await task.snapshot()
    expect(first.kind).toBe('merge')
    const handle = await snapshotAcross(first, task, writes, {
      write: () => task.put(0, 1, text(6)),
      options: CheckpointOptions.savepoint(),
    })
    await task.restore(handle)
    expect(task.values(0, KEYS)).toEqual(texts(6, KEYS))
  })

  it('a savepoint whose capture takes its time does not miss tables that were merged', async () => {
    const task = await StateTask.start()
    for (let round = 1; round <= 5; round++) {
      await task.put(0, KEYS, text(round))
      task.backend.notifyCheckpointAborted(handleOf(await task.snapshot()).checkpointId)
    }
    await task.put(0, KEYS, text(6))
    const first = await task.snapshot()
    expect(first.kind).toBe('merge')
    await turns()
    const { captureTables } = LevelDBStore.prototype
    const capture = vi.spyOn(LevelDBStore.prototype, 'captureTables')
    onTestFinished(() => capture.mockRestore())
    capture.mockImplementationOnce(function (this: LevelDBStore, directory) {
      const captured = captureTables.call(this, directory)
      queueMicrotask(() => task.backend.notifyCheckpointComplete(handleOf(first).checkpointId))
      return captured
    })
    const handle = handleOf(await task.snapshot(CheckpointOptions.savepoint()))
    await task.restore(handle)
    expect(task.values(0, KEYS)).toEqual(texts(6, KEYS))
  })

  it('a checkpoint that may renew its base goes on from it', async () => {
    const task = await StateTask.start({ policy: { smallStateBytes: 40_000 } })
    const writes = new HeldWrites()
    writes.open()
    await task.put(0, KEYS, text(1))
    const first = await task.snapshot()
    expect(first.kind).toBe('delta')
    const handle = await snapshotAcross(first, task, writes, {
      write: () => task.put(KEYS, 3 * KEYS, text(1)),
      options: CheckpointOptions.checkpoint(),
    })
    await task.restore(handle)
    expect(task.values(0, 3 * KEYS)).toEqual(texts(1, 3 * KEYS))
  })
})
