/** The frame of the state operations, on a clock that is turned by hand: a millisecond or a minute for each look at it. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Contender } from '../../bench/state/contender.js'
import { openPlainMap } from '../../bench/state/contenders/plain-map.js'
import {
  measureGroup,
  SAMPLES_PER_PROCESS,
  WARM_UP_ROUNDS,
  warmUpMs,
} from '../../bench/state/measure.js'
import { notesOf } from '../../bench/state/notes.js'
import { GROUPS, OPERATIONS, type Group } from '../../bench/state/operations.js'

const KEYS = 3000
const OPTIONS = { keys: KEYS, millis: 20, cpu: false }
const MINUTE_MS = 60_000
const ROUNDS = WARM_UP_ROUNDS + SAMPLES_PER_PROCESS

afterEach(() => {
  vi.restoreAllMocks()
})

function clockTurnsBy(ms: number): void {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (now += ms))
}

/** A Map, and what it was asked for. */
async function recorded(): Promise<{
  contender: Contender
  asked: Map<string, number>
}> {
  const contender = await openPlainMap()
  const asked = new Map<string, number>()
  const counting = <T extends object>(state: T, name: string): T =>
    new Proxy(state, {
      get: (target, key) => {
        const id = `${name}.${String(key)}`
        asked.set(id, (asked.get(id) ?? 0) + 1)
        return Reflect.get(target, key) as unknown
      },
    })
  const { value, list, map } = contender
  return {
    contender: {
      ...contender,
      value: counting(value, 'value'),
      list: counting(list, 'list'),
      map: counting(map, 'map'),
    },
    asked,
  }
}

describe('a measurement', () => {
  it('adds and removes the same, however slow the contender is', async () => {
    clockTurnsBy(MINUTE_MS)
    const value = await recorded()
    await measureGroup(value.contender, 'value', OPTIONS)
    const [setUp, updated] = [KEYS, 200 * (SAMPLES_PER_PROCESS + 1)]
    expect(value.asked.get('value.update')).toBe(setUp + updated + ROUNDS * KEYS)

    const map = await recorded()
    await measureGroup(map.contender, 'map', OPTIONS)
    expect(map.asked.get('map.remove')).toBe(ROUNDS * KEYS)
  })

  it('stops what leaves the state as it was when its time is up', async () => {
    clockTurnsBy(MINUTE_MS)
    const { contender, asked } = await recorded()
    await measureGroup(contender, 'list', OPTIONS)
    expect(asked.get('list.addAll')).toBe(200 * (SAMPLES_PER_PROCESS + 1))
  })

  it('comes after a warm-up of 300 ms or two measurements', async () => {
    expect([20, 150, 300].map(warmUpMs)).toEqual([300, 300, 600])
    clockTurnsBy(1)
    const { contender, asked } = await recorded()
    await measureGroup(contender, 'value', OPTIONS)
    // A look every 200 operations, and one more every 2000.
    const looks = (asked.get('value.get') ?? 0) / 200
    expect(looks).toBeGreaterThan(0.8 * (300 + SAMPLES_PER_PROCESS * 20))
    expect(looks).toBeLessThan(1.2 * (300 + SAMPLES_PER_PROCESS * 20))
  })

  it.each(GROUPS)(
    'has all samples of each operation of a %s, and checks what reads',
    async (group: Group) => {
      clockTurnsBy(MINUTE_MS)
      const { results, checks } = await measureGroup(await openPlainMap(), group, OPTIONS)
      expect(results.map(({ operation }) => operation)).toEqual(
        OPERATIONS[group].map(({ name }) => name),
      )
      for (const { opsPerSecond } of results) {
        expect(opsPerSecond).toHaveLength(SAMPLES_PER_PROCESS)
        expect(Math.min(...opsPerSecond)).toBeGreaterThan(0)
      }
      const reading = OPERATIONS[group].filter(({ readOnly }) => readOnly)
      expect(Object.keys(checks)).toEqual(reading.map(({ name }) => name))
    },
  )
})

describe('the notes', () => {
  const parameters = { keys: 50_000, rounds: 1, millis: 60, memoryMib: 1024, cpu: false }

  it('say what was written, and with how much memory', () => {
    const stored = new Map([
      ['LevelDBStateBackend', 4096],
      ['lmdb', 53 * 2 ** 20],
    ] as const)
    const text = notesOf(parameters, stored).join('\n')
    expect(text).toContain(
      'with 50,000 keys and 1024 MiB of memory: LevelDBStateBackend 0 MiB, lmdb 53 MiB.',
    )
    expect(text).toContain('of the JVM up to 4 GiB')
    expect(notesOf(parameters, new Map()).join('\n')).not.toContain('In their directories')
  })

  it('say of how many processes a range is', () => {
    const one = notesOf(parameters, new Map()).join('\n')
    expect(one).toContain('one process of each contender')
    expect(one).toContain('The range is that within a process')
    const two = notesOf({ ...parameters, rounds: 2 }, new Map()).join('\n')
    expect(two).toContain('2 processes of each contender')
    expect(two).not.toContain('The range is that within a process')
  })
})
