import { describe, expect, it } from 'vitest'
import { FixedRandom } from '../../bench/harness/fixed-random.js'
import { rotated, spreadOf } from '../../bench/harness/statistics.js'
import { Inputs, nextLong, shuffled } from '../../bench/state/inputs.js'
import { GROUPS, OPERATIONS, setUp } from '../../bench/state/operations.js'
import { openPlainMap } from '../../bench/state/contenders/plain-map.js'
import {
  differenceIn,
  ratioText,
  rowsOf,
  spreadText,
  type ContenderName,
} from '../../bench/state/report.js'
import { turnsOf } from '../../bench/state/turns.js'

function ratesOf(
  operation: string,
  rates: Partial<Record<ContenderName, number[]>>,
): Map<string, Map<ContenderName, number[]>> {
  const byContender = new Map(Object.entries(rates) as [ContenderName, number[]][])
  return new Map([[operation, byContender]])
}

describe('the rows of the report', () => {
  it('judges us against the best persistent peer, by medians', () => {
    const [row] = rowsOf(
      OPERATIONS.value,
      ratesOf('valueGet', {
        LevelDBStateBackend: [900, 1000, 5000],
        HashMapStateBackend: [9000],
        'classic-level': [400, 500, 600],
        lmdb: [450, 450, 1000],
        'Flink heap': [9000],
        Map: [9000],
      }),
    )
    expect(row).toMatchObject({ bestPeer: 'classic-level', ratio: 2, bar: 2, reached: true })
  })

  it("counts Flink's RocksDB among the persistent peers, with either cache", () => {
    for (const flink of ['Flink RocksDB', 'Flink RocksDB budget'] as const) {
      const rates = ratesOf('mapGet', {
        LevelDBStateBackend: [199],
        lmdb: [50],
        [flink]: [100],
      })
      expect(rowsOf(OPERATIONS.map, rates)).toMatchObject([{ bestPeer: flink, reached: false }])
    }
  })

  it('holds point operations of values and maps to 2, everything else to 0.8', () => {
    const bars = GROUPS.flatMap((group) => OPERATIONS[group]).map(({ name }) => {
      const group = GROUPS.find((candidate) => name.startsWith(candidate)) ?? 'value'
      const [row] = rowsOf(OPERATIONS[group], ratesOf(name, { LevelDBStateBackend: [1] }))
      return [name, row?.bar]
    })
    const strict = bars.filter(([, bar]) => bar === 2).map(([name]) => name)
    expect(strict).toEqual([
      'valueGet',
      'valueUpdate',
      'valueAdd',
      'mapGet',
      'mapContains',
      'mapUpdate',
      'mapAdd',
      'mapRemove',
    ])
    expect(bars.filter(([, bar]) => bar === 0.8)).toHaveLength(bars.length - strict.length)
  })

  it.each([
    [{ LevelDBStateBackend: [79], lmdb: [100] }, false],
    [{ LevelDBStateBackend: [80], lmdb: [100] }, true],
    [{ LevelDBStateBackend: [80] }, undefined],
    [{ lmdb: [100] }, undefined],
    [{ LevelDBStateBackend: [80], lmdb: [] }, undefined],
  ])('%j reaches 0.8: %s', (rates, reached) => {
    expect(rowsOf(OPERATIONS.list, ratesOf('listGet', rates))).toMatchObject([{ reached }])
  })

  it('has no row for what was not measured', () => {
    expect(rowsOf(OPERATIONS.value, new Map())).toEqual([])
  })

  it('says a ratio, its bar and whether it holds', () => {
    const rows = (ours: number) =>
      rowsOf(OPERATIONS.value, ratesOf('valueGet', { LevelDBStateBackend: [ours], lmdb: [100] }))
    expect(rows(199).map(ratioText)).toEqual(['1.99 MISSED (2)'])
    expect(rows(200).map(ratioText)).toEqual(['2.00 reached (2)'])
  })
})

describe('spreads', () => {
  it('are the median, the least and the most', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 })
    expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 })
  })

  it('read as thousands and half the range', () => {
    expect(spreadText({ median: 200_000, min: 180_000, max: 220_000 })).toBe('200 ±10%')
    expect(spreadText({ median: 1500, min: 1500, max: 1500 })).toBe('1.5 ±0%')
    expect(spreadText(undefined)).toBe('')
  })
})

describe('the frame', () => {
  it('starts each round with another contender, and leaves none out', () => {
    const orders = [0, 1, 2, 3].map((round) => rotated(['a', 'b', 'c'], round).join(''))
    expect(orders).toEqual(['abc', 'bca', 'cab', 'abc'])
    expect(rotated([], 1)).toEqual([])
  })

  it('starts each kind of state with another contender, in every round', () => {
    const turns = turnsOf(2, GROUPS, ['LevelDBStateBackend', 'lmdb', 'Map', 'Flink heap'])
    const first = turns.filter((_, i) => i % 4 === 0)
    expect(first.map(({ round, group, contender }) => [round, group, contender])).toEqual([
      [0, 'value', 'LevelDBStateBackend'],
      [0, 'list', 'lmdb'],
      [0, 'map', 'Map'],
      [1, 'value', 'Flink heap'],
      [1, 'list', 'LevelDBStateBackend'],
      [1, 'map', 'lmdb'],
    ])
    expect(new Set(turns.map((turn) => Object.values(turn).join('/'))).size).toBe(2 * 3 * 4)
  })

  it('finds contenders that read different contents', () => {
    const equal = new Map<string, Record<string, number>>([
      ['a', { valueGet: 1 }],
      ['b', { valueGet: 1, mapGet: 2 }],
    ])
    expect(differenceIn(equal)).toBeUndefined()
    const different = new Map(equal).set('c', { mapGet: 3 })
    expect(differenceIn(different)).toBe('mapGet: c read 3 where b read 2')
  })
})

describe('the inputs', () => {
  it('are the same in every run, and each key is there once', () => {
    const keys = shuffled(10, 100, new FixedRandom())
    expect(keys).toEqual(shuffled(10, 100, new FixedRandom()))
    expect(keys.toSorted()).toEqual(Float64Array.from({ length: 100 }, (_, i) => 10 + i))
    expect(keys).not.toEqual(keys.toSorted())
  })

  it('have values of 52 bits, each of them random', () => {
    const random = new FixedRandom()
    const values = Array.from({ length: 1000 }, () => nextLong(random))
    for (let bit = 0; bit < 52; bit++) {
      const ones = values.filter((value) => Math.floor(value / 2 ** bit) % 2 === 1).length
      expect(ones, `bit ${bit}`).toBeGreaterThan(400)
      expect(ones, `bit ${bit}`).toBeLessThan(600)
    }
    expect(Math.max(...values)).toBeLessThan(2 ** 52)
  })

  it('add new keys in each round, and remove another entry of each key', () => {
    const inputs = new Inputs(50)
    const newKeys = [0, 1, 2].flatMap((round) => {
      inputs.prepare(round)
      return Array.from({ length: 50 }, (_, i) => inputs.newKey(round, i))
    })
    expect(newKeys.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 150 }, (_, i) => i + 50))
    expect(new Set([0, 1, 2].map((round) => inputs.mapKey(round, 7)))).toHaveProperty('size', 3)
  })
})

describe('the operations', () => {
  it('do what their names say', async () => {
    const inputs = new Inputs(20)
    inputs.prepare(0)
    const contender = await openPlainMap()
    for (const group of GROUPS) await setUp(group, contender, inputs)
    const run = async (name: string) => {
      const operations = GROUPS.flatMap((group) => OPERATIONS[group])
      return await operations.find((one) => one.name === name)?.body(contender, inputs, 0, 3)
    }
    const [key, mapKey, value] = [inputs.setUpKey(3), inputs.mapKey(0, 3), inputs.value(0, 3)]

    await run('valueUpdate')
    expect(await run('valueGet')).toBe(value)
    await run('listUpdate')
    await run('listAppend')
    expect(contender.list.get(key)).toEqual([value, value])
    await run('listAddAll')
    expect([await run('listGet'), inputs.dummyList.length]).toEqual([102, 100])
    expect(await run('mapKeys')).toBe(45)
    expect(await run('mapIsEmpty')).toBe(0)
    await run('mapUpdate')
    expect(await run('mapGet')).toBe(inputs.mapValue(3))
    await run('mapPutAll')
    expect(await run('mapGet')).toBe(new Map(inputs.dummyMap).get(mapKey))
    await run('mapRemove')
    expect(contender.map.contains(key, mapKey)).toBe(false)
    expect(await run('mapKeys')).toBe(45 - mapKey)
  })
})
