import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareResults, isWithinBounds } from '../../bench/compare/compare.js'
import type { BenchGoal, FigureKind } from '../../bench/harness/part.js'
import { figureOf, measuredOf, resultOf, resultWith } from './results.js'

const failedPart = {
  name: 'state',
  status: 'failed',
  seconds: 1,
  load: { start: 0, end: 0 },
  reason: 'it broke',
} as const

describe('V1: the bounds', () => {
  it.each<[FigureKind, number, number, boolean]>([
    ['throughput', 100, 85, true],
    ['throughput', 100, 84.99, false],
    ['throughput', 100, 1000, true],
    ['gain', 20, 17, true],
    ['gain', 20, 16.99, false],
    ['latency', 10, 12, true],
    ['latency', 10, 12.01, false],
    ['latency', 10, 1, true],
    ['size', 1000, 1200, true],
    ['size', 1000, 1201, false],
    ['cost', 5, 6, true],
    ['cost', 5, 6.01, false],
  ])('a %s of %d that becomes %d passes: %s', (kind, before, after, passes) => {
    const comparison = compareResults(
      resultWith({ kind, samples: [before] }),
      resultWith({ kind, samples: [after] }),
    )
    expect(comparison.compared).toMatchObject([{ ratio: after / before, passes }])
    expect(comparison.passes).toBe(passes)
  })

  it('are for medians, whatever the outliers', () => {
    const a = resultWith({ samples: [100, 100, 100] })
    const b = resultWith({ samples: [1, 90, 91] })
    expect(compareResults(a, b)).toMatchObject({ passes: true, compared: [{ ratio: 0.9 }] })
    expect(compareResults(a, resultWith({ samples: [80, 84, 500] })).passes).toBe(false)
  })

  it('let nothing stay nothing, and no time become some', () => {
    const zero = resultWith({ kind: 'latency', samples: [0] })
    expect(compareResults(zero, zero)).toMatchObject({ passes: true, compared: [{ ratio: 1 }] })
    expect(compareResults(zero, resultWith({ kind: 'latency', samples: [1] })).passes).toBe(false)
    const throughput = resultWith({ samples: [0] })
    expect(compareResults(resultWith({}), throughput).passes).toBe(false)
  })

  it.each<FigureKind>(['latency', 'size', 'cost'])('let no %s become nothing', (kind) => {
    const figure = { kind, samples: [5] }
    const none = compareResults(resultWith(figure), resultWith({ ...figure, samples: [0] }))
    expect(none).toMatchObject({ passes: false, compared: [{ ratio: 0, passes: false }] })
  })

  it('never let what is slower pass where what is faster fails', () => {
    const ratio = fc.double({ min: 0.01, max: 100, noNaN: true })
    fc.assert(
      fc.property(ratio, ratio, (one, other) => {
        const [less, more] = one < other ? [one, other] : [other, one]
        if (isWithinBounds('throughput', less))
          expect(isWithinBounds('throughput', more)).toBe(true)
        if (isWithinBounds('latency', more)) expect(isWithinBounds('latency', less)).toBe(true)
      }),
    )
  })

  it('say when the ranges overlap', () => {
    const a = resultWith({ samples: [80, 100, 120] })
    const overlaps = (samples: number[]) => compareResults(a, resultWith({ samples })).compared
    expect(overlaps([60, 70, 80])).toMatchObject([{ passes: false, overlap: true }])
    expect(overlaps([60, 70, 79])).toMatchObject([{ passes: false, overlap: false }])
  })
})

describe('V2: figures of one result only', () => {
  it('fail when B has lost them, with what is known of why', () => {
    const a = resultWith({}, { contender: 'lmdb' }, { contender: 'gone' })
    const part = { figures: [figureOf()], absent: { lmdb: 'it does not install' } }
    const comparison = compareResults(a, resultOf({ parts: [measuredOf(part)] }))
    expect(comparison.passes).toBe(false)
    expect(comparison.onlyInA).toEqual([
      { part: 'state', name: 'valueGet', contender: 'lmdb', why: 'it does not install' },
      { part: 'state', name: 'valueGet', contender: 'gone' },
    ])
  })

  it('are listed when B has new ones, which is no failure', () => {
    const comparison = compareResults(resultWith({}), resultWith({}, { name: 'valueAdd', x: 3 }))
    expect(comparison).toMatchObject({
      passes: true,
      compared: [{ name: 'valueGet' }],
      onlyInB: [{ name: 'valueAdd', x: 3 }],
    })
  })

  it.each([
    ['the name', { name: 'valueAdd' }],
    ['the contender', { contender: 'lmdb' }],
    ['the place on the x axis', { x: 2 }],
    ['the unit', { unit: 'bytes' }],
    ['the kind', { kind: 'gain' as const }],
  ])('are told apart by %s', (_, other) => {
    const comparison = compareResults(resultWith({ x: 1 }), resultWith({ x: 1, ...other }))
    expect(comparison).toMatchObject({ compared: [], onlyInA: [{ x: 1 }], passes: false })
    expect(comparison.onlyInB).toHaveLength(1)
  })

  it('fail when the part failed in B, or was not run', () => {
    const failed = compareResults(resultWith({}), resultOf({ parts: [failedPart] }))
    expect(failed).toMatchObject({
      passes: false,
      onlyInA: [{ why: 'the part failed: it broke' }],
      failed: ['part state failed in B: it broke'],
    })
    const missing = compareResults(resultWith({}), resultOf({ parts: [] }))
    expect(missing).toMatchObject({ passes: false, onlyInA: [{ why: 'the part was not run' }] })
  })

  it('fail when a part failed in A, in B, or in both, unless it is left out', () => {
    const good = measuredOf({ part: 'scale' })
    const whole = resultOf({ parts: [good, measuredOf()] })
    const broken = resultOf({ parts: [good, failedPart] })
    for (const [a, b, failed] of [
      [broken, broken, ['A', 'B']],
      [broken, whole, ['A']],
      [whole, broken, ['B']],
    ] as const) {
      const texts = failed.map((which) => `part state failed in ${which}: it broke`)
      expect(compareResults(a, b)).toMatchObject({ passes: false, failed: texts })
      expect(compareResults(a, b, { parts: ['scale'] })).toMatchObject({ passes: true, failed: [] })
    }
  })

  it('fail when there is nothing to compare at all', () => {
    const nothing = resultOf({ parts: [] })
    expect(compareResults(nothing, nothing).passes).toBe(false)
    expect(compareResults(resultWith({}), resultWith({}), { parts: ['scale'] }).passes).toBe(false)
  })

  it('are left out with their part or their contender, when others are asked for', () => {
    const slow = figureOf({ contender: 'lmdb', samples: [1] })
    const fast = figureOf({ contender: 'lmdb' })
    const scale = (samples: number[]) =>
      measuredOf({ part: 'scale', figures: [figureOf({ samples })] })
    const a = resultOf({ parts: [measuredOf({ figures: [figureOf(), fast] }), scale([100])] })
    const b = resultOf({ parts: [measuredOf({ figures: [figureOf(), slow] }), scale([1])] })
    expect(compareResults(a, b).compared.filter(({ passes }) => !passes)).toHaveLength(2)
    const options = { parts: ['state'], contenders: ['ours'] }
    expect(compareResults(a, b, options)).toMatchObject({
      passes: true,
      compared: [{ part: 'state', contender: 'ours' }],
    })
  })
})

describe('V2: goals', () => {
  const reached = (text: string) => ({ text, reached: true })
  const missed = (text: string) => ({ text, reached: false })
  const withGoals = (...goals: BenchGoal[]) =>
    resultOf({
      parts: [measuredOf({ figures: [figureOf(), figureOf({ contender: 'lmdb' })], goals })],
    })
  const get = 'valueGet: ours 4.00 times lmdb (at least 2)'
  const add = 'valueAdd: ours 3.00 times lmdb (at least 2)'

  it('that were reached and are missed fail, whatever was measured', () => {
    const now = 'valueGet: ours 1.50 times classic-level (at least 2)'
    const lost = compareResults(
      withGoals(reached(get), reached(add)),
      resultOf({
        parts: [
          measuredOf({
            figures: [figureOf(), figureOf({ contender: 'lmdb' })],
            goals: [reached(add), missed(now)],
            absent: { 'classic-level': 'why' },
          }),
        ],
      }),
    )
    const goal = { part: 'state', before: get, after: now }
    expect(lost).toMatchObject({ passes: false, lostGoals: [goal] })
  })

  it('that were reached and are not judged any more fail, as do those of a part that failed', () => {
    const a = withGoals(reached(get), reached(add))
    expect(compareResults(a, withGoals(reached(add)))).toMatchObject({
      passes: false,
      lostGoals: [{ part: 'state', before: get }],
    })
    expect(compareResults(a, resultOf({ parts: [failedPart] })).lostGoals).toHaveLength(2)
    expect(compareResults(a, resultOf({ parts: [] })).lostGoals).toHaveLength(2)
  })

  it('that are missed in both, or reached with other numbers, do not', () => {
    const a = withGoals(missed(get), reached('1 to 2: 200 MB in 31 (29 to 40) ms, 1.02 times'))
    const b = withGoals(missed(get), reached('1 to 2: 200 MB in 9 (8 to 9) ms, 0.9 times'))
    expect(compareResults(a, b)).toMatchObject({ passes: true, lostGoals: [] })
    expect(compareResults(withGoals(), withGoals(missed(get))).passes).toBe(true)
  })

  it('that differ in numbers only are told apart by their order', () => {
    const goals = (second: boolean) =>
      withGoals(reached('at 20 MB: 1.00'), { text: 'at 200 MB: 1.00', reached: second })
    expect(compareResults(goals(true), goals(false)).lostGoals).toEqual([
      { part: 'state', before: 'at 200 MB: 1.00', after: 'at 200 MB: 1.00' },
    ])
  })

  it('are not judged where other contenders are compared', () => {
    const [a, b] = [withGoals(reached(get)), withGoals(missed(get))]
    expect(compareResults(a, b, { contenders: ['lmdb'] }).passes).toBe(true)
    expect(compareResults(a, b, { contenders: ['ours'] }).passes).toBe(false)
  })
})

describe('V3: what makes two results unlike', () => {
  it('is nothing for one and the same', () => {
    const comparison = compareResults(resultOf(), resultOf())
    expect(comparison).toMatchObject({ warnings: [], unlike: [], passes: true })
  })

  it('is another machine, another version, other parameters, another size', () => {
    const a = resultOf()
    const b = resultOf({
      size: 'quick',
      machine: { ...a.machine, cpu: 'Processor 2000', cores: 4 },
      versions: { ...a.versions, contenders: { lmdb: '3.6.0', Java: '17' } },
      parts: [measuredOf({ parameters: { keys: 10, cpu: true } })],
    })
    expect(compareResults(a, b).warnings).toEqual([
      'different version: lmdb 3.5.6 and 3.6.0',
      'different version: Java none and 17',
    ])
    expect(compareResults(a, b).unlike).toEqual([
      'different machine: cpu Processor 1000 and Processor 2000',
      'different machine: cores 2 and 4',
      'different sizes of the run: default and quick',
      'different parameter of state: keys 1000 and 10',
      'different parameter of state: cpu none and true',
    ])
  })

  it('is a busy machine, and a run that was interrupted', () => {
    const { finishedAt: _, ...unfinished } = resultOf()
    const busy = resultOf({ parts: [{ ...measuredOf(), load: { start: 1.5, end: 2 } }] })
    expect(compareResults(unfinished, busy).warnings).toEqual([
      'A is not finished, or was interrupted',
      'B was measured on a busy machine: state (load 1.5)',
    ])
  })

  it.each([
    ['machine', resultOf({ machine: { ...resultOf().machine, filesystem: 'tmpfs' } })],
    ['size', resultOf({ size: 'full' })],
    ['parameters', resultOf({ parts: [measuredOf({ parameters: { keys: 10 } })] })],
  ])('fails for another %s, unless they are compared anyway', (_, other) => {
    expect(compareResults(resultOf(), other)).toMatchObject({
      passes: false,
      unlike: [expect.any(String)],
    })
    expect(compareResults(resultOf(), other, { anyway: true }).passes).toBe(true)
  })

  it('does not fail for other versions, nor for a busy machine', () => {
    const versions = { ...resultOf().versions, contenders: { lmdb: '4' } }
    const busy = { ...measuredOf(), load: { start: 9, end: 9 } }
    expect(compareResults(resultOf(), resultOf({ versions, parts: [busy] })).passes).toBe(true)
  })
})
