/** Local deltas that no completed checkpoint has are bounded, and what is dropped for that is not missed. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { handleOf, StateTask, type BackendKind } from '../support/state-task.js'

const UNCONFIRMED_BYTES_MAX = 2 * 2 ** 20

vi.mock('../../src/checkpoint/snapshot-strategy.js', async (original) => {
  const module = await original<typeof import('../../src/checkpoint/snapshot-strategy.js')>()
  type Options = ConstructorParameters<typeof module.SnapshotStrategy>[0]
  class BoundedStrategy extends module.SnapshotStrategy {
    constructor(options: Options) {
      super({ ...options, unconfirmedBytesMax: UNCONFIRMED_BYTES_MAX })
    }
  }
  return { ...module, SnapshotStrategy: BoundedStrategy }
})

const DELTAS = { smallStateBytes: 2 ** 30, deltaCountMax: 1000 }
const KEYS = 1000
/** One round of it is about 300 KB. */
const text = (round: number) => (key: number) => `${round} of ${key} `.repeat(25)

function localBytes(task: StateTask): number {
  return task
    .localTables()
    .reduce((bytes, name) => bytes + statSync(join(task.incarnation, 'tables', name)).size, 0)
}

async function expectState(task: StateTask, round: number): Promise<void> {
  expect(task.values(0, KEYS)).toEqual(Array.from({ length: KEYS }, (_, key) => text(round)(key)))
}

describe.each<BackendKind>(['leveldb', 'hashmap'])('unconfirmed deltas, %s', (kind) => {
  it('stay bounded while every checkpoint is aborted; the next is a rebase that restores right', async () => {
    const task = await StateTask.start({ kind, policy: DELTAS })
    await task.put(0, KEYS, text(0))
    await task.checkpoint()
    for (let round = 1; round <= 30; round++) {
      await task.put(0, KEYS, text(round))
      const { checkpointId } = handleOf(await task.snapshot())
      task.backend.notifyCheckpointAborted(checkpointId)
      // LevelDB holds up to two memtables of 1 MiB in its log only.
      if (kind === 'leveldb') {
        expect(localBytes(task)).toBeLessThan(UNCONFIRMED_BYTES_MAX + 4 * 2 ** 20)
      }
    }
    await task.put(0, 10, text(30))
    const result = await task.checkpoint()
    expect(result.kind).toBe('rebase')
    await task.restore(result.handle)
    await expectState(task, 30)
  })

  it('stay bounded while nobody tells the end of any checkpoint, and one that is completed then is no base', async () => {
    const task = await StateTask.start({ kind, policy: DELTAS })
    await task.put(0, KEYS, text(0))
    const { handle: first } = await task.checkpoint()
    const handles = []
    for (let round = 1; round <= 20; round++) {
      await task.put(0, KEYS, text(round))
      handles.push(handleOf(await task.snapshot()))
      if (kind === 'leveldb') {
        expect(localBytes(task)).toBeLessThan(UNCONFIRMED_BYTES_MAX + 4 * 2 ** 20)
      }
    }
    // Completed with the first one subsumed: its tables, and those of all others but its own, are gone.
    const completed = handles[0]
    if (completed === undefined) throw new Error('there are handles')
    const gone = [first, ...handles].flatMap((handle) => handle.objects().shared)
    await task.objects.delete(gone.map((location) => `job/${location}`))
    task.backend.notifyCheckpointComplete(completed.checkpointId)

    await task.put(0, 10, text(20))
    const result = await task.checkpoint()
    expect(result.kind).toBe('rebase')
    for (const location of result.handle.objects().shared) expect(gone).not.toContain(location)
    await task.restore(result.handle)
    await expectState(task, 20)
  })

  it('are none too many: what is below the bound stays, and goes into the next checkpoint', async () => {
    const task = await StateTask.start({ kind, policy: DELTAS })
    for (let round = 1; round <= 3; round++) {
      await task.put(0, KEYS, text(round))
      const { checkpointId } = handleOf(await task.snapshot())
      task.backend.notifyCheckpointAborted(checkpointId)
    }
    const { handle, kind: made } = await task.checkpoint()
    expect(made).not.toBe('rebase')
    await task.restore(handle)
    await expectState(task, 3)
  })
})
