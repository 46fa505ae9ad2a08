/** A write buffer of tens of megabytes goes into a checkpoint as several tables: what that is for. */
import { describe, expect, it } from 'vitest'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import {
  MAX_PARALLELISM,
  StateTask,
  throughJSON,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'

const KEYS = 400
const VALUE_CHARACTERS = 100_000
const TABLE_BYTES_MAX = 16 * 2 ** 20 + 2 * VALUE_CHARACTERS
const MEMORY_BYTES = 256 * 2 ** 20
const HALVES = [KeyGroupRange.of(0, 7), KeyGroupRange.of(8, MAX_PARALLELISM - 1)] as const
const DELTAS_ONLY = { smallStateBytes: 2 ** 30, deltaCountMax: 1000 }
const REBASES = { smallStateBytes: 0, deltaFractionMax: 0 }

const text = (key: number): string => `${key} `.padEnd(VALUE_CHARACTERS, String(key % 10))

async function longGeneration(kind: BackendKind, policy: object): Promise<[StateTask, Handle]> {
  const task = await StateTask.start({ kind, policy, memory: MEMORY_BYTES })
  await task.put(0, KEYS, text)
  const { handle } = await task.checkpoint()
  return [task, throughJSON(handle)]
}

const locations = ({ sharedState }: Handle): string[] =>
  sharedState.map(({ state }) => (state.kind === 'object' ? state.location : 'inline'))

describe.each<BackendKind>(['leveldb', 'hashmap'])('A generation of 40 MB of %s', (kind) => {
  it('is in tables of at most 16 MiB and an entry, of which a rescale cuts one', async () => {
    const [task, handle] = await longGeneration(kind, DELTAS_ONLY)
    expect(handle.sharedState.length).toBeGreaterThan(2)
    for (const { state } of handle.sharedState) {
      expect(state.sizeBytes).toBeLessThan(TABLE_BYTES_MAX)
    }
    let found = 0
    let cut = 0
    for (const keyGroupRange of HALVES) {
      await task.close()
      await task.open([handle], { keyGroupRange })
      const after = await task.checkpoint()
      const kept = locations(after.handle).filter((name) => locations(handle).includes(name))
      const clipped = handle.getIntersection(keyGroupRange)
      cut += (clipped?.sharedState.length ?? 0) - kept.length
      const { value } = task.states
      for await (const key of task.backend.getKeys('value')) {
        task.backend.setCurrentKey(key)
        expect(value.value()).toBe(text(key))
        found++
      }
    }
    expect(found).toBe(KEYS)
    // By each half.
    expect(cut).toBe(2)
  })
})

it('A rebase leaves out the tables of a generation that the base has', async () => {
  const [task, handle] = await longGeneration('leveldb', REBASES)
  const deltas = handle.sharedState.filter(({ role }) => role === 'delta')
  const bytes = deltas.reduce((sum, { state }) => sum + state.sizeBytes, 0)
  expect(deltas.length).toBeLessThanOrEqual(2)
  expect(bytes).toBeLessThan((KEYS * VALUE_CHARACTERS) / 1.5)
  await task.restore(handle)
  expect(task.values(0, KEYS)).toEqual(Array.from({ length: KEYS }, (_, key) => text(key)))
})
