/** A backend that is closed while anything is under way. */
import { readdirSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { StateBackendError } from '../../src/errors.js'
import {
  namedObjects,
  handleOf,
  rejection,
  StateTask,
  type BackendKind,
} from '../support/state-task.js'
import { SteppingClock } from '../support/stepping-clock.js'

const KEYS = 400
const REBASE = { smallStateBytes: 0, deltaFractionMax: 0 }
const MERGE = { deltaCountMax: 1, smallStateBytes: 2 ** 30 }
const text = (round: number) => (key: number) => `round ${round} of ${key} `.repeat(10)

describe.each<BackendKind>(['leveldb', 'hashmap'])('closing, %s', (kind) => {
  it.each([
    ['rebase', REBASE],
    ['merge', MERGE],
  ])(
    'during a snapshot, at any turn of the event loop, %s: BACKEND_CLOSED and nothing left',
    async (_, policy) => {
      let closedInTime = 0
      for (let at = 1; at <= 24; at++) {
        const clock = new SteppingClock(10)
        const task = await StateTask.start({ kind, policy, clock })
        await task.put(0, KEYS, text(0))
        const { handle: completed } = await task.checkpoint()
        await task.put(0, KEYS, text(1))
        let turns = 0
        let closing: Promise<void> | undefined
        const act = (): void => {
          if (++turns === at) closing = task.backend.close()
        }
        clock.onTurn = act
        task.objects.plan = () => {
          act()
          return undefined
        }
        const outcome = await task.snapshot().catch((error: unknown) => error)
        clock.onTurn = undefined
        task.objects.heal()
        await (closing ?? task.backend.close())
        if (outcome instanceof Error) {
          closedInTime++
          expect(outcome).toMatchObject({ code: 'BACKEND_CLOSED', kind: 'closed' })
          expect(await task.storedObjects()).toEqual(namedObjects([completed]))
        }
        if (kind === 'leveldb') expect(readdirSync(task.directory)).toEqual([])
        await task.restore(completed)
        expect(task.values(0, 2)).toEqual([text(0)(0), text(0)(1)])
      }
      expect(closedInTime).toBeGreaterThan(5)
    },
  )

  it('with several snapshots under way: each rejects, and close waits for all', async () => {
    const task = await StateTask.start({ kind, policy: REBASE })
    const outcomes: Promise<unknown>[] = []
    for (let round = 0; round < 5; round++) {
      await task.put(0, KEYS, text(round))
      outcomes.push(rejection(task.snapshot()))
      outcomes.push(rejection(task.snapshot(CheckpointOptions.savepoint())))
    }
    const settled = new Set<Promise<unknown>>()
    for (const outcome of outcomes) void outcome.then(() => settled.add(outcome))
    await Promise.all([task.backend.close(), task.backend.close()])
    await turn()
    expect(settled.size).toBe(outcomes.length)
    for (const outcome of outcomes) expect(await outcome).toMatchObject({ code: 'BACKEND_CLOSED' })
    expect(await task.storedObjects()).toEqual([])
  })

  it('with a buffer that is full, and being written: nothing is left', async () => {
    for (let round = 0; round < 5; round++) {
      const task = await StateTask.start({ kind })
      // More than one generation: the second fills up while the first is being written.
      const { value } = task.states
      for (let key = 0; !task.backend.needsDrain; key++) {
        task.backend.setCurrentKey(key)
        value.update('x'.repeat(1000))
      }
      for (let turns = round; turns > 0; turns--) await turn()
      const draining = task.backend.drain().catch((error: unknown) => error)
      await task.backend.close()
      const outcome = await draining
      // The drain may have been done before the close.
      const code = outcome instanceof StateBackendError ? outcome.code : outcome
      expect([undefined, 'BACKEND_CLOSED']).toContain(code)
      expect(kind === 'leveldb' ? readdirSync(task.directory) : []).toEqual([])
    }
  })

  it('afterwards everything is BACKEND_CLOSED, and notices are ignored', async () => {
    const task = await StateTask.start({ kind })
    await task.put(0, KEYS, text(0))
    const pending = handleOf(await task.snapshot())
    const { backend } = task
    const scan = backend.getKeys('value')[Symbol.asyncIterator]()
    await scan.next()
    await backend.close()
    const closed = { code: 'BACKEND_CLOSED' }
    expect(await rejection(task.snapshot())).toMatchObject(closed)
    expect(await rejection(backend.drain())).toMatchObject(closed)
    backend.notifyCheckpointComplete(pending.checkpointId)
    backend.notifyCheckpointAborted(pending.checkpointId)
    backend.notifyCheckpointSubsumed(pending.checkpointId)
    await backend.close()
    await scan.return?.()
    await task.restore(pending)
    expect(task.values(0, 1)).toEqual([text(0)(0)])
  })
})
