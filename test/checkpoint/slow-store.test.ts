/** LevelDB may hold up a write for seconds, behind a compaction: what waits for it then, and what does not. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { StateBackendError } from '../../src/errors.js'
import { LevelDBStore } from '../../src/store/leveldb-store.js'
import { HeldWrites, turns, until } from '../support/held-writes.js'
import { handleOf, rejection, StateTask } from '../support/state-task.js'

const KEYS = 100
const LONG_TEXT = 'x'.repeat(2 ** 20)

/** Whether a promise settles while the event loop turns. */
async function settles(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const mark = (): void => {
    settled = true
  }
  promise.then(mark, mark)
  await turns()
  return settled
}

const text = (key: number): string => `value of ${key}`

describe('While LevelDB holds up every write', () => {
  it('a delta checkpoint completes, and holds all of its state', async () => {
    const task = await StateTask.start()
    const writes = new HeldWrites()
    await task.put(0, KEYS, text)
    const { kind, handle } = await task.checkpoint()
    expect(kind).toBe('delta')
    await until(() => writes.count === 1)
    expect(task.values(0, KEYS)).toEqual(Array.from({ length: KEYS }, (_, key) => text(key)))
    writes.open()
    await task.restore(handle)
    expect(task.values(0, KEYS)).toEqual(Array.from({ length: KEYS }, (_, key) => text(key)))
  })

  it.each([
    ['a full checkpoint', CheckpointOptions.fullCheckpoint(), {}],
    ['a savepoint', CheckpointOptions.savepoint(), {}],
    ['a rebase', CheckpointOptions.checkpoint(), { smallStateBytes: 0, deltaFractionMax: 0 }],
  ])('%s, which takes its tables, waits', async (_kind, options, policy) => {
    const task = await StateTask.start({ policy })
    const writes = new HeldWrites()
    await task.put(0, KEYS, text)
    const snapshot = task.snapshot(options)
    expect(await settles(snapshot)).toBe(false)
    writes.open()
    const handle = handleOf(await snapshot)
    await task.restore(handle)
    expect(task.values(0, KEYS)).toEqual(Array.from({ length: KEYS }, (_, key) => text(key)))
  })

  it('the next generation waits, and both hold what they held', async () => {
    const task = await StateTask.start()
    const writes = new HeldWrites()
    await task.put(0, KEYS, text)
    const first = handleOf(await task.snapshot())
    await task.put(0, 1, () => 'later')
    const second = task.snapshot()
    expect(await settles(second)).toBe(false)
    writes.open()
    await task.restore(handleOf(await second))
    expect(task.values(0, 2)).toEqual(['later', text(1)])
    await task.restore(first)
    expect(task.values(0, 2)).toEqual([text(0), text(1)])
  })

  it('a long generation is encoded some batches ahead, not to its end', async () => {
    const task = await StateTask.start({ memory: 128 * 2 ** 20 })
    const batches = vi.spyOn(LevelDBStore.prototype, 'batch')
    onTestFinished(() => {
      batches.mockRestore()
    })
    const writes = new HeldWrites()
    await task.put(0, 24, (key) => `${key} ${LONG_TEXT}`)
    const snapshot = task.snapshot()
    await until(() => batches.mock.calls.length > 16)
    await turns()
    expect(batches.mock.calls.length).toBeLessThan(20)
    writes.open()
    await snapshot
    expect(batches.mock.calls.length).toBeGreaterThanOrEqual(24)
  })

  it('and then fails: the checkpoint stands, the backend stops with that error', async () => {
    const task = await StateTask.start()
    const writes = new HeldWrites()
    await task.put(0, KEYS, text)
    const { handle } = await task.checkpoint()
    const failure = new StateBackendError('STORE_FAILED', 'no more')
    writes.failure = failure
    writes.open()
    await turns()
    expect(await rejection(task.snapshot())).toBe(failure)
    expect(() => task.values(0, 1)).toThrow(failure)
    writes.failure = undefined
    await task.restore(handle)
    expect(task.values(0, 1)).toEqual([text(0)])
  })

  it('a close waits for the writes under way', async () => {
    const task = await StateTask.start()
    const writes = new HeldWrites()
    await task.put(0, KEYS, text)
    await task.checkpoint()
    const closing = task.close()
    expect(await settles(closing)).toBe(false)
    writes.open()
    await closing
  })
})
