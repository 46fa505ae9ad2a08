import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareResults, isWithinBounds } from '../../bench/compare/compare.js'
import type { FigureKind } from '../../bench/harness/part.js'
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
      warnings: ['part state failed in B'],
    })
    const missing = compareResults(resultWith({}), resultOf({ parts: [] }))
    expect(missing).toMatchObject({ passes: false, onlyInA: [{ why: 'the part was not run' }] })
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

describe('V3: what makes two results unlike', () => {
  it('is nothing for one and the same', () => {
    expect(compareResults(resultOf(), resultOf())).toMatchObject({ warnings: [], passes: true })
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
      'different machine: cpu Processor 1000 and Processor 2000',
      'different machine: cores 2 and 4',
      'different version: lmdb 3.5.6 and 3.6.0',
      'different version: Java none and 17',
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

  it('does not judge', () => {
    expect(compareResults(resultOf(), resultOf({ size: 'full' })).passes).toBe(true)
  })
})
