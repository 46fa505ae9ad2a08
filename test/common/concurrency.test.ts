import { describe, expect, it } from 'vitest'
import { mapLimit, throwIfAborted } from '../../src/common/concurrency.js'
import { StateBackendError } from '../../src/errors.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('mapLimit', () => {
  it('keeps the order of the items, and never runs more than the limit at once', async () => {
    let running = 0
    let most = 0
    const results = await mapLimit([5, 1, 4, 2, 3, 0], 3, async (item, _, index) => {
      most = Math.max(most, ++running)
      for (let turns = 0; turns < item; turns++) await turn()
      running--
      return `${index}:${item}`
    })
    expect(results).toEqual(['0:5', '1:1', '2:4', '3:2', '4:3', '5:0'])
    expect(most).toBe(3)
  })

  it('takes no items', async () => {
    expect(await mapLimit([], 3, async () => expect.unreachable())).toEqual([])
  })

  it('aborts the siblings of the first failure, waits for them, and rethrows it', async () => {
    const log: string[] = []
    const first = new Error('first')
    const work = mapLimit(['fails', 'stops', 'ignores', 'never'], 3, async (item, signal) => {
      await turn()
      if (item === 'fails') throw first
      if (item === 'never') log.push('started')
      await turn()
      if (item === 'stops') throwIfAborted(signal)
      await turn()
      log.push(item)
    })
    await expect(work).rejects.toBe(first)
    expect(log).toEqual(['ignores'])
  })

  it('counts a synchronous throw as a failure', async () => {
    const broken = (): Promise<void> => {
      throw new Error('at once')
    }
    await expect(mapLimit([1, 2], 2, broken)).rejects.toThrow('at once')
  })

  it('is aborted from outside: starts nothing more, waits, and rejects with SNAPSHOT_ABORTED', async () => {
    const controller = new AbortController()
    const ended: number[] = []
    const work = mapLimit(
      [0, 1, 2, 3],
      2,
      async (item) => {
        if (item === 0) controller.abort('enough')
        await turn()
        ended.push(item)
      },
      controller.signal,
    )
    await expect(work).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED', cause: 'enough' })
    expect(ended.length).toBeLessThanOrEqual(2)
    await turn()
    expect(ended.length).toBeLessThanOrEqual(2)
  })

  it('gives the signal its own StateBackendError back', async () => {
    const reason = new StateBackendError('CHECKPOINT_FAILED', 'timed out')
    const work = mapLimit([1], 1, async () => expect.unreachable(), AbortSignal.abort(reason))
    await expect(work).rejects.toBe(reason)
  })

  it('does not listen to the signal any more when it is done', async () => {
    const controller = new AbortController()
    const seen: AbortSignal[] = []
    await mapLimit([1], 1, async (_, signal) => seen.push(signal), controller.signal)
    controller.abort()
    expect(seen.map((signal) => signal.aborted)).toEqual([false])
  })
})
