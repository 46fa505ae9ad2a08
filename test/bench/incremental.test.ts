import { describe, expect, it } from 'vitest'
import type { BenchGoal } from '../../bench/harness/part.js'
import { chartsOf, figuresOf } from '../../bench/incremental/figures.js'
import { goalsOf } from '../../bench/incremental/goals.js'
import { KeySource } from '../../bench/incremental/key-source.js'
import type { CheckpointSample, StreamSample } from '../../bench/incremental/measure.js'
import { CONTENDER_NAMES, type ContenderName } from '../../bench/incremental/names.js'
import { amortisedRatio, type Outcomes } from '../../bench/incremental/outcome.js'
import {
  defaultPlan,
  fullPlan,
  checkpointsOf,
  pickedPlan,
  quickPlan,
  restricted,
  type Plan,
} from '../../bench/incremental/plan.js'
import {
  incompressibleBytes,
  keyCountOf,
  RECORD_BYTES,
  scattered,
  valueOf,
} from '../../bench/incremental/records.js'

const SAMPLE: CheckpointSample = {
  kind: 'delta',
  uploadedBytes: 1000,
  changedBytes: 1000,
  writes: 10,
  syncMs: 1,
  asyncMs: 9,
}

function outcomesOf(
  plan: Plan,
  sampleOf: (contender: ContenderName, at: number) => Partial<StreamSample> = () => ({}),
): Outcomes {
  const changes = plan.changes.flatMap((cell) =>
    cell.contenders.map((contender) => ({
      cell,
      contender,
      result: {
        checkpoints: Array.from(
          { length: checkpointsOf(cell, contender) },
          (_, at): CheckpointSample => ({ ...SAMPLE, ...sampleOf(contender, at) }),
        ),
        operationsPerSecond: [1],
        restoreMs: 1,
        verifiedKeys: 1,
      },
    })),
  )
  const streams = plan.streams.flatMap((cell) =>
    cell.contenders.map((contender) => ({
      cell,
      contender,
      samples: [
        { ...SAMPLE, duringPerSecond: 70, betweenPerSecond: 100, ...sampleOf(contender, 0) },
      ],
    })),
  )
  return { changes, streams }
}

function goal(goals: readonly BenchGoal[], ...words: string[]): boolean[] {
  return goals
    .filter(({ text }) => words.every((word) => text.includes(word)))
    .map(({ reached }) => reached)
}

describe('the records', () => {
  it('are written in an order that meets every key once', () => {
    const keyCount = keyCountOf(10_000)
    const keys = Array.from({ length: keyCount }, (_, rank) => scattered(rank, keyCount))
    expect(keyCount).toBe(93)
    expect(new Set(keys).size).toBe(keyCount)
    expect(Math.max(...keys)).toBe(keyCount - 1)
  })

  it('are of the same bytes in every run', () => {
    expect(incompressibleBytes(8).toString('hex')).toBe('3ab624e1ab749a8b')
  })

  it('say whose they are and which version', () => {
    const value = valueOf(70_000, 3)
    expect(value.length + 8).toBe(RECORD_BYTES)
    expect([value.readUInt32LE(0), value.readUInt32LE(4)]).toEqual([70_000, 3])
    expect(valueOf(70_000, 3)).toEqual(value)
    expect(valueOf(70_000, 4).subarray(8)).not.toEqual(value.subarray(8))
    expect(valueOf(70_001, 3).subarray(8)).not.toEqual(value.subarray(8))
  })
})

describe('the keys of a stream', () => {
  it.each(['uniform', 'skewed'] as const)('change exactly the part asked for: %s', (keys) => {
    const input = new KeySource(1000, keys).inputThatChanges(100, 2)
    expect(new Set(input.writes).size).toBe(100)
    expect(input.writes.at(-1)).not.toBe(input.writes[0])
    expect(input.reads.length).toBe(input.writes.length * 2)
    expect(new KeySource(1000, keys).inputThatChanges(100, 2)).toEqual(input)
  })

  it('are as likely as r^-0.99 when skewed', () => {
    const keyCount = 1000
    const { writes } = new KeySource(keyCount, 'skewed').input(200_000, 0)
    const counts = new Map<number, number>()
    for (const key of writes) counts.set(key, (counts.get(key) ?? 0) + 1)
    let zeta = 0
    for (let rank = 1; rank <= keyCount; rank++) zeta += rank ** -0.99
    for (const rank of [1, 2]) {
      const share = (counts.get(scattered(rank - 1, keyCount)) ?? 0) / writes.length
      expect(share * zeta * rank ** 0.99).toBeCloseTo(1, 1)
    }
    const hottest = Array.from({ length: 100 }, (_, rank) => scattered(rank, keyCount))
    const share = hottest.reduce((sum, key) => sum + (counts.get(key) ?? 0), 0) / writes.length
    let expected = 0
    for (let rank = 1; rank <= 100; rank++) expected += rank ** -0.99 / zeta
    expect(share / expected).toBeCloseTo(1, 1)
  })
})

describe('the plan', () => {
  it('has by default every load that a goal asks for', () => {
    const goals = goalsOf(outcomesOf(defaultPlan()))
    expect(goal(goals, 'full snapshot', 'bytes')).toHaveLength(1)
    expect(goal(goals, 'full snapshot', 'time')).toHaveLength(1)
    expect(goal(goals, 'uniform', 'over 100 checkpoints')).toHaveLength(1)
    expect(goal(goals, 'skewed', 'over 100 checkpoints')).toHaveLength(1)
    expect(goal(goals, 'skewed', 'over 200 checkpoints')).toHaveLength(1)
    expect(goal(goals, 'between rebases')).toHaveLength(1)
    expect(goal(goals, 'throughput')).toHaveLength(1)
    expect(goal(goals, '200 MB of state against 20 MB')).toHaveLength(2)
  })

  it("sets LevelDB's own files beside ours on the same loads, over 20 checkpoints at least", () => {
    const plan = defaultPlan()
    const ratios = figuresOf(outcomesOf(plan)).filter(({ name }) => name.includes('by change'))
    const namesOf = (of: ContenderName): string[] =>
      ratios.filter(({ contender }) => contender === of).map(({ name }) => name)
    expect(namesOf('leveldb-files')).toEqual([
      'uploaded / changed by change: 50 MB, uniform, 5 reads per write, up to 100 checkpoints',
      'uploaded / changed by change: 200 MB, uniform, 0 reads per write, up to 20 checkpoints',
    ])
    expect(namesOf('incremental')).toEqual(expect.arrayContaining(namesOf('leveldb-files')))
    const counts = plan.changes
      .filter(({ contenders }) => contenders.includes('leveldb-files'))
      .map((cell) => checkpointsOf(cell, 'leveldb-files'))
    expect(counts).toEqual([20, 20])
  })

  it('measures contenders that share a load in one cell', () => {
    for (const plan of [defaultPlan(), fullPlan(), quickPlan()]) {
      for (const cells of [plan.changes, plan.streams]) {
        const loads = cells.map(({ stateMb, keys, reads, ...cell }) =>
          JSON.stringify([stateMb, keys, reads, 'changePercent' in cell && cell.changePercent]),
        )
        expect(new Set(loads).size).toBe(loads.length)
      }
    }
  })

  it('goes up to 2 GB in full', () => {
    const goals = goalsOf(outcomesOf(fullPlan()))
    expect(goal(goals, '2000 MB of state against 20 MB')).toHaveLength(2)
  })

  it('is what was picked, for who was named', () => {
    const plan = restricted(pickedPlan({ stateMb: [1, 2], reads: [5], checkpoints: 7 }), ['lmdb'])
    expect(plan.changes).toEqual(
      [1, 2].map((stateMb) => ({
        stateMb,
        changePercent: 1,
        keys: 'uniform',
        reads: 5,
        checkpoints: 7,
        fewer: {},
        contenders: ['lmdb'],
      })),
    )
    expect(plan.streams.map(({ stateMb, reads }) => [stateMb, reads])).toEqual([
      [1, 5],
      [2, 5],
    ])
    expect(restricted(quickPlan(), ['lmdb'])).toEqual({ changes: [], streams: [] })
  })
})

describe('the figures', () => {
  const outcomes = outcomesOf(fullPlan())
  const figures = figuresOf(outcomes)

  it('have names of their own, with contender and x', () => {
    const names = figures.map(({ name, contender, x }) => `${name}/${contender}/${x}`)
    expect(names.toSorted().filter((name, at, sorted) => name === sorted[at - 1])).toEqual([])
    expect(figures.every(({ samples }) => samples.length > 0)).toBe(true)
  })

  it.each(['bars', 'lines'] as const)('are what the charts show: %s', (kind) => {
    for (const plan of [defaultPlan(), fullPlan()]) {
      const all = outcomesOf(plan)
      const withX = new Map(figuresOf(all).map(({ name, x }) => [name, x !== undefined]))
      const charts = chartsOf(all).filter((chart) => chart.kind === kind)
      expect(charts).toHaveLength(kind === 'bars' ? 5 : 3)
      for (const { names } of charts) {
        expect(names).not.toEqual([])
        expect(new Set(names).size).toBe(names.length)
        expect(names.map((name) => withX.get(name))).toEqual(names.map(() => kind === 'lines'))
      }
    }
  })
})

describe('the goals', () => {
  const judged = (
    sampleOf: (contender: ContenderName, at: number) => Partial<StreamSample>,
  ): BenchGoal[] => goalsOf(outcomesOf(defaultPlan(), sampleOf))

  it('weigh all bytes against all changed bytes', () => {
    const rebase = { ...SAMPLE, kind: 'rebase', uploadedBytes: 10_000, changedBytes: 2000 }
    expect(amortisedRatio([SAMPLE, rebase])).toBeCloseTo(11 / 3)
  })

  it('ask for 20 times the bytes and 10 times the time of a full snapshot', () => {
    const bytes = (times: number): boolean[] =>
      goal(
        judged((name) => (name === 'full' ? { uploadedBytes: 1000 * times } : {})),
        'full snapshot',
        'bytes',
      )
    expect(bytes(20)).not.toContain(false)
    expect(bytes(19.9)).not.toContain(true)
    const time = (times: number): boolean[] =>
      goal(
        judged((name) => (name === 'full' ? { syncMs: 0, asyncMs: 10 * times } : {})),
        'full snapshot',
        'time',
      )
    expect(time(10)).not.toContain(false)
    expect(time(9.9)).not.toContain(true)
  })

  it('allow 4 times the changed bytes for uniform keys, 2 for skewed, 1.3 between rebases', () => {
    const reached = (kind: string, uploadedBytes: number, ...words: string[]): boolean[] =>
      goal(
        judged(() => ({ kind, uploadedBytes })),
        ...words,
      )
    expect(reached('rebase', 4000, 'uniform', 'over 100')).toEqual([true])
    expect(reached('rebase', 4001, 'uniform', 'over 100')).toEqual([false])
    expect(reached('delta', 2000, 'skewed', 'over 200')).toEqual([true])
    expect(reached('delta', 2001, 'skewed', 'over 200')).toEqual([false])
    expect(reached('merge', 1300, 'between rebases')).toEqual([true])
    expect(reached('merge', 1301, 'between rebases')).toEqual([false])
  })

  it('judge skewed keys over the first 100 checkpoints and over all 200', () => {
    const goals = judged((_, at) => ({ uploadedBytes: at < 100 ? 3000 : 900 }))
    expect(goal(goals, 'skewed', 'over 100')).toEqual([false])
    expect(goal(goals, 'skewed', 'over 200')).toEqual([true])
  })

  it('are missed when ours could not be measured to the end', () => {
    const outcomes = outcomesOf(defaultPlan())
    expect(goal(goalsOf(outcomes, { lmdb: 'not installed' }), 'not installed')).toEqual([])
    expect(goal(goalsOf(outcomes, { incremental: 'disk full' }), 'disk full')).toEqual([false])
  })

  it('ask for 0.7 of the throughput, of our increments alone', () => {
    const reached = (duringPerSecond: number): boolean[] =>
      goal(
        judged((name) => ({ duringPerSecond: name === 'incremental' ? duringPerSecond : 0 })),
        'throughput',
      )
    expect(reached(70)).toEqual([true])
    expect(reached(69.9)).toEqual([false])
  })

  it('are not asked where a contender was not measured', () => {
    const alone = restricted(
      defaultPlan(),
      CONTENDER_NAMES.filter((name) => name !== 'full'),
    )
    expect(goal(goalsOf(outcomesOf(alone)), 'full snapshot')).toEqual([])
    expect(goalsOf({ changes: [], streams: [] })).toEqual([])
  })
})
