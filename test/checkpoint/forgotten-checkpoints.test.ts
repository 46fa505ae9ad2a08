/** A checkpoint that nobody told the end of for very long is completed after all: what it names may be gone, and nothing is built on it. */
import { describe, expect, it } from 'vitest'
import { handleOf, StateTask, type BackendKind } from '../support/state-task.js'

const KEYS = 100
/** `PENDING_CHECKPOINTS_MAX`, and one more. */
const SNAPSHOTS = 1001
const text = (round: number) => (key: number) => `${round} of ${key} `.repeat(20)

describe.each<BackendKind>(['leveldb', 'hashmap'])('a forgotten checkpoint, %s', (kind) => {
  it('that follows a restore of base and delta is no base for the next', async () => {
    const task = await StateTask.start({ kind, policy: { smallStateBytes: 2000 } })
    await task.put(0, KEYS, text(1))
    await task.backend.drain()
    await task.checkpoint()
    await task.put(0, 1, text(2))
    const { handle } = await task.checkpoint()
    await task.restore(handle)

    const { checkpointId } = handleOf(await task.snapshot())
    for (let count = 1; count < SNAPSHOTS; count++) await task.snapshot()
    task.backend.notifyCheckpointComplete(checkpointId)
    await task.put(1, 2, text(3))
    const result = await task.checkpoint()
    expect(result.kind).toBe('rebase')
    await task.restore(result.handle)
    const values = Array.from({ length: KEYS }, (_, key) =>
      text(key === 0 ? 2 : key === 1 ? 3 : 1)(key),
    )
    expect(task.values(0, KEYS)).toEqual(values)
  })
})
