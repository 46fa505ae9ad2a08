/** Snapshots that fail or are aborted: nothing is referenced, nothing is left, and the next one has it all (U2, I2). */
import { describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { SeededRandom } from '../support/random.js'
import {
  handleOf,
  namedObjects,
  rejection,
  StateTask,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'
import { SteppingClock } from '../support/stepping-clock.js'

/** Everything is a rebase beyond a few entries. */
const REBASE = { smallStateBytes: 0, deltaFractionMax: 0 }
const KEYS = 400

const text = (round: number) => (key: number) => `round ${round} of ${key}`

async function expectState(task: StateTask, handle: Handle, round: number): Promise<void> {
  await task.restore(handle)
  expect(task.values(0, KEYS)).toEqual(Array.from({ length: KEYS }, (_, key) => text(round)(key)))
}

describe.each<BackendKind>(['leveldb', 'hashmap'])('failing storage, %s', (kind) => {
  it.each(['before', 'after'] as const)(
    'U2: a put that fails %s it was done leaves nothing in storage, and the next snapshot has it all',
    async (fault) => {
      const task = await StateTask.start({ kind, policy: REBASE })
      await task.put(0, KEYS, text(1))
      const { handle: completed } = await task.checkpoint()
      await task.put(0, KEYS, text(2))
      const before = await task.storedObjects()

      let puts = 0
      task.objects.plan = (operation) => (operation === 'put' && ++puts === 2 ? fault : undefined)
      expect(await rejection(task.snapshot())).toMatchObject({ code: 'STORAGE_FAILED' })
      task.objects.heal()
      expect(puts).toBe(2)
      expect(await task.storedObjects()).toEqual(before)

      const { handle } = await task.checkpoint()
      expect(await task.storedObjects()).toEqual(namedObjects([completed, handle]))
      await expectState(task, handle, 2)
    },
  )

  it('U2: after any mixture of failures the objects in storage are those that handles name', async () => {
    const task = await StateTask.start({
      kind,
      policy: { smallStateBytes: 20_000, deltaCountMax: 3 },
    })
    const random = new SeededRandom(20_260_728)
    const handles: Handle[] = []
    const kinds = new Set<string>()
    let failures = 0
    for (let round = 1; round <= 60; round++) {
      const from = random.below(KEYS)
      await task.put(from, from + random.below(200), text(round))
      task.objects.plan = (operation) =>
        operation === 'put' && random.chance(0.15)
          ? random.pick(['before', 'after'] as const)
          : undefined
      const options = random.chance(0.2)
        ? CheckpointOptions.fullCheckpoint()
        : CheckpointOptions.checkpoint()
      const snapshots = await Promise.allSettled(
        random.chance(0.3) ? [task.snapshot(), task.snapshot(options)] : [task.snapshot(options)],
      )
      task.objects.heal()
      for (const snapshot of snapshots) {
        if (snapshot.status === 'rejected') failures++
        else kinds.add(snapshot.value.kind)
        if (snapshot.status === 'fulfilled') handles.push(handleOf(snapshot.value))
      }
      const last = handles.at(-1)
      if (last !== undefined && random.chance(0.5)) {
        task.backend.notifyCheckpointComplete(last.checkpointId)
      }
      expect(await task.storedObjects()).toEqual(namedObjects(handles))
    }
    expect(failures).toBeGreaterThan(10)
    expect([...kinds].sort()).toEqual(expect.arrayContaining(['delta', 'rebase']))
  })

  it('reports the failure of the upload, not that of its cleaning up', async () => {
    const task = await StateTask.start({ kind, policy: REBASE })
    await task.put(0, KEYS, text(1))
    let puts = 0
    task.objects.plan = (operation) =>
      operation === 'delete' || (operation === 'put' && ++puts === 2) ? 'before' : undefined
    expect(await rejection(task.snapshot())).toMatchObject({
      message: expect.stringMatching(/^put of/) as string,
    })
  })
})

describe.each<BackendKind>(['leveldb', 'hashmap'])('aborts, %s', (kind) => {
  it('aborted before its start: SNAPSHOT_ABORTED, and the next snapshot has it all', async () => {
    const task = await StateTask.start({ kind })
    await task.put(0, KEYS, text(1))
    const error = await rejection(
      task.snapshot(CheckpointOptions.checkpoint(), { signal: AbortSignal.abort() }),
    )
    expect(error).toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(await task.storedObjects()).toEqual([])
    const { handle } = await task.checkpoint()
    await expectState(task, handle, 1)
  })

  it.each([
    ['rebase', REBASE],
    ['merge', { deltaCountMax: 1, smallStateBytes: 2 ** 30 }],
  ])(
    'aborted at any turn of the event loop, %s: all of it or nothing',
    async (expected, policy) => {
      const clock = new SteppingClock(10)
      const task = await StateTask.start({ kind, policy, clock })
      await task.put(0, KEYS, text(0))
      let { handle: last } = await task.checkpoint()
      let aborted = 0
      for (let round = 1; round <= 40; round++) {
        await task.put(0, KEYS, text(round))
        const abortion = new AbortController()
        let turns = 0
        const act = (): void => {
          if (++turns === round) abortion.abort()
        }
        clock.onTurn = act
        task.objects.plan = () => {
          act()
          return undefined
        }
        const outcome = await task
          .snapshot(CheckpointOptions.checkpoint(), { signal: abortion.signal })
          .catch((error: unknown) => error)
        clock.onTurn = undefined
        task.objects.heal()
        if (outcome instanceof Error) {
          expect(outcome).toMatchObject({ code: 'SNAPSHOT_ABORTED' })
          aborted++
          expect(await task.storedObjects()).toEqual(namedObjects([last]))
        } else {
          expect(turns < round || !abortion.signal.aborted).toBe(true)
        }
        const { handle, kind: made } = await task.checkpoint()
        expect(made).toBe(expected)
        const stored = new Set(await task.storedObjects())
        for (const name of namedObjects([handle])) expect(stored).toContain(name)
        const subsumed = [...stored].filter((name) => !namedObjects([handle]).includes(name))
        await task.objects.delete(subsumed.map((name) => `job/${name}`))
        last = handle
      }
      expect(aborted).toBeGreaterThan(3)
      await expectState(task, last, 40)
    },
  )

  it('aborted during an upload: SNAPSHOT_ABORTED and nothing in storage', async () => {
    const task = await StateTask.start({ kind, policy: REBASE })
    await task.put(0, KEYS, text(1))
    const abortion = new AbortController()
    task.objects.plan = () => {
      abortion.abort(new Error('no more'))
      return undefined
    }
    const error = await rejection(
      task.snapshot(CheckpointOptions.checkpoint(), { signal: abortion.signal }),
    )
    expect(error).toMatchObject({ code: 'SNAPSHOT_ABORTED', cause: { message: 'no more' } })
    task.objects.heal()
    expect(await task.storedObjects()).toEqual([])
    const { handle } = await task.checkpoint()
    await expectState(task, handle, 1)
  })

  it('aborted after its end: nothing happens', async () => {
    const task = await StateTask.start({ kind })
    await task.put(0, KEYS, text(1))
    const abortion = new AbortController()
    const result = await task.snapshot(CheckpointOptions.checkpoint(), { signal: abortion.signal })
    abortion.abort()
    await expectState(task, handleOf(result), 1)
  })
})
