/** What a restored task goes on with: an incremental checkpoint, the states nobody registered, epochs, sweeps. */
import { describe, expect, it } from 'vitest'
import { decodeMetaInformation } from '../../src/checkpoint/meta-information.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { listState, mapState, valueState } from '../../src/state/state-descriptor.js'
import { liveEntries } from '../conformance/keyed-state/checkpoint-entries.js'
import {
  collect,
  StateTask,
  type Backend,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'

const KINDS = ['leveldb', 'hashmap'] as const
/** From, to, and a third one: where the checkpoint of the second is restored. */
const WAYS: [BackendKind, BackendKind, BackendKind][] = KINDS.flatMap((from) =>
  KINDS.flatMap((to) =>
    KINDS.map((last): [BackendKind, BackendKind, BackendKind] => [from, to, last]),
  ),
)
const DELTAS = { smallStateBytes: 2 ** 30, deltaCountMax: 1000 }
const REBASES = { smallStateBytes: 0, deltaFractionMax: 0 }
const KEYS = 200
/** More than a packed map or list holds. */
const SPILLED = 300

const shared = (handle: Handle): string[] => handle.objects().shared

async function lastEpochOf(task: StateTask, handle: Handle): Promise<number> {
  return decodeMetaInformation(await task.storage.readBytes(handle.metaState)).lastEpoch
}

/** Values, a spilled map and a spilled list under states that `fill` alone registers. */
function fill(backend: Backend): void {
  const map = backend.getState(mapState<number, string>('quiet-map', { keySerializer: numberKey }))
  const list = backend.getState(listState<string>('quiet-list'))
  const value = backend.getState(valueState<{ text: string }>('quiet-value'))
  for (const key of [1, 2]) {
    backend.setCurrentKey(key)
    value.update({ text: `text ${key}` })
    for (let index = 0; index < (key === 1 ? SPILLED : 3); index++) {
      map.put(index, `entry ${index}`)
      list.add(`element ${index}`)
    }
  }
}

async function expectFilled(backend: Backend): Promise<void> {
  const map = backend.getState(mapState<number, string>('quiet-map', { keySerializer: numberKey }))
  const list = backend.getState(listState<string>('quiet-list'))
  const value = backend.getState(valueState<{ text: string }>('quiet-value'))
  for (const key of [1, 2]) {
    backend.setCurrentKey(key)
    const count = key === 1 ? SPILLED : 3
    expect(value.value()).toEqual({ text: `text ${key}` })
    const entries = await collect(map.entries())
    expect(entries).toEqual(Array.from({ length: count }, (_, n) => [n, `entry ${n}`]))
    expect(list.get()).toEqual(Array.from({ length: count }, (_, n) => `element ${n}`))
  }
  expect(await collect(backend.getKeys('quiet-map'))).toHaveLength(2)
}

describe.each([
  ['deltas', DELTAS],
  ['rebases', REBASES],
])('a restored state that nobody registers, %s', (_, policy) => {
  it.each(WAYS)(
    'survives the checkpoints of the next task, %s to %s to %s',
    async (from, to, last) => {
      const task = await StateTask.start({ kind: from, policy })
      fill(task.backend)
      await task.put(0, KEYS, (key) => `${key}`)
      await task.restore((await task.checkpoint()).handle, to)
      let handle: Handle | undefined
      for (let round = 0; round < 4; round++) {
        await task.put(0, KEYS, (key) => `${round} of ${key}`)
        handle = (await task.checkpoint()).handle
      }
      if (handle === undefined) throw new Error('there is a handle')
      await task.restore(handle, last)
      await expectFilled(task.backend)
      expect(task.values(5, 6)).toEqual(['3 of 5'])
    },
  )

  it.each(WAYS)('may be registered at any time, %s to %s to %s', async (from, to, last) => {
    const task = await StateTask.start({ kind: from, policy })
    fill(task.backend)
    await task.restore((await task.checkpoint()).handle, to)
    await task.put(0, KEYS, (key) => `${key}`)
    const first = task.checkpoint()
    await expectFilled(task.backend)
    await task.restore((await first).handle, last)
    await expectFilled(task.backend)
  })
})

describe.each(KINDS)('the first checkpoint after a restore, %s', (kind) => {
  it('uploads what changed, and names the tables it was restored from', async () => {
    const task = await StateTask.start({ kind, policy: DELTAS })
    for (let round = 0; round < 3; round++) {
      await task.put(0, KEYS, (key) => `${round} of ${key} `.repeat(20))
      await task.checkpoint()
    }
    const { handle: last } = await task.checkpoint()
    for (const next of KINDS) {
      await task.restore(last, next)
      await task.put(0, 3, (key) => `late ${key}`)
      const { handle, kind: made, uploadedBytes } = await task.checkpoint()
      expect(made).toBe('delta')
      expect(shared(handle)).toEqual([...shared(last), expect.any(String)])
      expect(uploadedBytes).toBeLessThan(3000)
      await task.restore(handle, next)
      expect(task.values(2, 4)).toEqual(['late 2', '2 of 3 '.repeat(20)])
    }
  })

  it('without a write is no work at all', async () => {
    const task = await StateTask.start({ kind, policy: DELTAS })
    await task.put(0, KEYS, (key) => `${key}`)
    const { handle: last } = await task.checkpoint()
    await task.restore(last)
    const result = await task.checkpoint()
    expect(result).toMatchObject({ kind: 'none', handle: { sharedState: last.sharedState } })
    expect(result.uploadedBytes).toBe(result.handle.metaState.sizeBytes)
  })

  it('merges restored deltas with new ones', async () => {
    const policy = { smallStateBytes: 2 ** 30, deltaCountMax: 2 }
    const task = await StateTask.start({ kind, policy })
    await task.put(0, KEYS, () => 'first')
    await task.checkpoint()
    await task.put(0, 100, () => 'second')
    const { handle: last } = await task.checkpoint()
    await task.restore(last)
    await task.put(0, 50, () => 'third')
    const { handle, kind: made } = await task.checkpoint()
    expect(made).toBe('merge')
    expect(handle.sharedState).toHaveLength(1)
    await task.restore(handle)
    expect(task.values(49, 51)).toEqual(['third', 'second'])
    expect(task.values(100, 101)).toEqual(['first'])
  })
})

describe('a rebase after a restore', () => {
  it('names adopted tables again that LevelDB still has, and uploads none twice', async () => {
    const task = await StateTask.start({
      policy: { smallStateBytes: 0, deltaFractionMax: 0.5 },
    })
    for (let round = 0; round < 8; round++) {
      await task.put(0, 2000, (key) => `${round} of ${key} `.repeat(60))
      await task.checkpoint()
    }
    const { handle: last } = await task.checkpoint()
    expect(last.sharedState.some(({ role }) => role === 'base')).toBe(true)
    await task.restore(last)
    let again = 0
    let rebases = 0
    for (let round = 0; round < 12; round++) {
      await task.put(0, 700, (key) => `late ${round} of ${key} `.repeat(60))
      const { handle, kind } = await task.checkpoint()
      if (kind === 'rebase') rebases++
      const base = handle.sharedState.filter(({ role }) => role === 'base')
      again += base.filter(({ state }) =>
        last.sharedState.some(
          (old) =>
            old.state.kind === 'object' &&
            state.kind === 'object' &&
            old.state.location === state.location,
        ),
      ).length
      const digests = handle.sharedState.map(({ state }) => state.sha256)
      expect(new Set(digests).size).toBe(digests.length)
      if (round === 11) {
        await task.restore(handle)
        expect(task.values(699, 701)).toEqual([
          'late 11 of 699 '.repeat(60),
          '7 of 700 '.repeat(60),
        ])
      }
    }
    expect(rebases).toBeGreaterThan(0)
    expect(again).toBeGreaterThan(0)
  })
})

describe('epochs and sweeps', () => {
  it.each(WAYS)('no epoch is given twice, %s to %s to %s', async (...ways) => {
    const task = await StateTask.start({ kind: ways[0], policy: DELTAS })
    const epochs: number[] = []
    let handle: Handle | undefined
    for (const kind of ways) {
      if (handle !== undefined) await task.restore(handle, kind)
      const { map } = task.states
      for (const key of [1, 2]) {
        task.backend.setCurrentKey(key)
        map.clear()
        for (let index = 0; index < SPILLED; index++) map.put(index, `${kind} ${index}`)
      }
      handle = (await task.checkpoint()).handle
      epochs.push(await lastEpochOf(task, handle))
    }
    expect(epochs).toEqual([2, 4, 6])
  })

  it.each(WAYS)(
    'a cleared map stays cleared, and its entries go, %s to %s to %s',
    async (from, to, last) => {
      const task = await StateTask.start({ kind: from, policy: DELTAS })
      const { map } = task.states
      task.backend.setCurrentKey(1)
      for (let index = 0; index < SPILLED; index++) map.put(index, `entry ${index}`)
      await task.checkpoint()
      task.backend.setCurrentKey(1)
      map.clear()
      // The sweep record is in this checkpoint, the work it asks for is not.
      const { handle: cleared } = await task.checkpoint()
      await task.restore(cleared, to)
      task.backend.setCurrentKey(1)
      expect(await collect(task.states.map.entries())).toEqual([])
      for (let index = 0; index < 3; index++) task.states.map.put(index, `new ${index}`)

      let { handle } = await task.checkpoint()
      await task.restore(handle, last)
      task.backend.setCurrentKey(1)
      expect(await collect(task.states.map.values())).toEqual(['new 0', 'new 1', 'new 2'])
      if (last !== 'leveldb') return
      // Swept in the background, through the buffer: one packed map is all that is left.
      for (let round = 0; round < 50; round++) {
        await task.put(0, 1, () => `${round}`)
        handle = (await task.checkpoint()).handle
        if ((await liveEntries(task.storage, handle)).length === 2) return
      }
      expect.unreachable('the entries of the cleared map were never swept')
    },
  )

  it('a state that was registered and never written restores, as does one that was emptied', async () => {
    for (const from of KINDS) {
      for (const to of KINDS) {
        const task = await StateTask.start({ kind: from, policy: REBASES })
        expect(task.values(0, 1)).toEqual([undefined])
        const { handle: empty } = await task.checkpoint()
        await task.restore(empty, to)
        expect(await collect(task.backend.getKeys('value'))).toEqual([])
        await task.put(0, 100, (key) => `${key}`)
        await task.checkpoint()
        task.values(0, 0)
        for (let key = 0; key < 100; key++) {
          task.backend.setCurrentKey(key)
          task.states.value.clear()
        }
        const { handle: emptied } = await task.checkpoint()
        await task.restore(emptied, from)
        expect(task.values(0, 100).every((value) => value === undefined)).toBe(true)
        expect(await collect(task.backend.getKeys('value'))).toEqual([])
        await task.put(0, 1, () => 'again')
        await task.restore((await task.checkpoint()).handle, to)
        expect(task.values(0, 1)).toEqual(['again'])
        await task.close()
      }
    }
  })
})
