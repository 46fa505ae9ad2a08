/** The figures of the README: what is chosen for them, and what they say of it. */
import { describe, expect, it } from 'vitest'
import type { BenchFigure } from '../../bench/harness/part.js'
import { readmeFigures } from '../../bench/suite/figures.js'
import { chartText, roundsText, samplesText } from '../../bench/suite/report/describe.js'
import { expectWellFormed, textsOf } from './pages.js'
import { figureOf, measuredOf, partOf, resultOf } from './results.js'

const OPERATIONS = ['valueGet', 'valueUpdate', 'valueAdd', 'mapGet', 'mapContains', 'mapUpdate']
const operations = [...OPERATIONS, 'mapAdd', 'mapRemove', 'listAdd'].flatMap((name) =>
  ['LevelDBStateBackend', 'HashMapStateBackend', 'lmdb', 'Map', 'Flink RocksDB', 'Flink heap'].map(
    (contender) => figureOf({ name, contender, samples: [100, 200, 300] }),
  ),
)

function fileOf(file: string, part: string, figures: readonly BenchFigure[]): string | undefined {
  const parameters = { keys: 50_000 }
  return readmeFigures(resultOf({ parts: [measuredOf({ part, parameters, figures })] })).get(file)
}

describe('the figure of state operations', () => {
  const svg = fileOf('state-operations.svg', 'state', operations) ?? ''

  it('is a well-formed SVG file with its colours in it, light and dark', () => {
    expectWellFormed(svg)
    expect(svg).toContain('xmlns="http://www.w3.org/2000/svg"')
    expect(svg).toContain('prefers-color-scheme: dark')
    expect(svg).not.toMatch(/<image|href|url\(|@import/)
    for (const [, variable] of svg.matchAll(/var\((--[a-z0-9-]+)\)/g)) {
      if (variable !== '--plot-background') expect(svg).toContain(`${variable}:`)
    }
  })

  it('G2: says on how many keys, and how many samples there are', () => {
    expect(textsOf(svg, 'text.title').join()).toContain(' 50,000 keys, all within memory')
    expect(textsOf(svg, 'text.subtitle').join()).toContain('Medians of 3 samples, range')
  })

  it('has all point operations, and of what is in memory only the plain map', () => {
    const texts = textsOf(svg, 'text')
    expect(texts).toEqual(expect.arrayContaining([...OPERATIONS, 'mapAdd', 'mapRemove']))
    expect(texts).toEqual(expect.arrayContaining(['Map (in memory only)', 'Flink RocksDB']))
    for (const left of ['listAdd', 'HashMapStateBackend', 'Flink heap']) {
      expect(texts).not.toContain(left)
    }
  })
})

describe('the figure of uploads', () => {
  const ratio = (name: string, contender: string, x = 1) =>
    figureOf({ name, contender, x, kind: 'cost', unit: 'times' })
  const uploads = (...figures: readonly BenchFigure[]) =>
    fileOf('checkpoint-uploads.svg', 'incremental', [
      figureOf({ name: 'restore: 20 MB', contender: 'incremental' }),
      ...figures,
    ])
  const panels = ['uploads: 50 MB, uniform, 9 checkpoints', 'uploads: 200 MB, uniform']

  it('G1: has no load on which one contender was measured alone', () => {
    const svg = uploads(
      ratio('uploads: 20 MB', 'incremental'),
      ratio('uploads: 20 MB, 5 reads', 'leveldb-files'),
      ...panels.flatMap((name) => [ratio(name, 'incremental'), ratio(name, 'leveldb-files')]),
    )
    const texts = textsOf(svg ?? '', 'text')
    expect(texts).toContain('50 MB · uniform · 9 checkpoints · 1 % changed')
    expect(texts).toContain('200 MB · uniform · 1 % changed')
    expect(texts.join()).not.toContain(' 20 MB')
    expect(texts.join()).toContain('One sample each: no range is known.')
  })

  it('G1: is none where nothing was measured together', () => {
    expect(uploads(ratio('uploads: 20 MB', 'incremental'))).toBeUndefined()
    expect(
      uploads(ratio('uploads: 20 MB', 'lmdb', 1), ratio('uploads: 20 MB', 'full', 1)),
    ).toBeUndefined()
    expect(
      uploads(ratio('uploads: 20 MB', 'incremental', 1), ratio('uploads: 20 MB', 'full', 10)),
    ).toBeUndefined()
  })

  it('G2: says the load where there is one', () => {
    const svg = uploads(ratio(panels[0] ?? '', 'incremental'), ratio(panels[0] ?? '', 'lmdb'))
    expect(textsOf(svg ?? '', 'text')).toContain('50 MB · uniform · 9 checkpoints · 1 % changed')
  })
})

describe('the figure of recovery', () => {
  const restore = (contender: string, x: number) =>
    figureOf({ name: 'restore, 1 to 1', contender, x, kind: 'latency', unit: 'ms' })

  it('is of the largest state that two contenders brought back', () => {
    const ours = ['ours, from storage', 'ours, from local disk'].map((name) => restore(name, 200))
    const both = [restore('ours, from storage', 20), restore('Flink RocksDB', 20)]
    const svg = fileOf('recovery.svg', 'recovery', [...both, ...ours])
    expect(textsOf(svg ?? '', 'text')).toContain('restore · 1 to 1 · 20 MB')
    expect(fileOf('recovery.svg', 'recovery', ours)).toBeUndefined()
  })
})

it('figures are none of what was not measured', () => {
  expect(readmeFigures(resultOf({ parts: [] })).size).toBe(0)
  expect(readmeFigures(resultOf({ parts: [measuredOf({ part: 'scale' })] })).size).toBe(0)
})

describe('in words', () => {
  const counts = (...samples: readonly number[]) =>
    samples.map((count) => figureOf({ samples: Array.from({ length: count }, () => 1) }))

  it.each([
    [[1, 1], 'One sample each: no range is known.'],
    [[3, 3], 'Medians of 3 samples, range as a thin line.'],
    [[2, 9], 'Medians of 2 to 9 samples, range as a thin line.'],
    [[1, 9], 'Medians of up to 9 samples, range as a thin line; hollow: one sample.'],
  ])('figures of %j samples are: %s', (samples, text) => {
    expect(samplesText(counts(...samples))).toBe(text)
  })

  it.each<[Record<string, number>, number[], string[], string[]]>([
    [{ rounds: 1 }, [3], ['3 samples', 'one turn', 'one process'], ['rounds']],
    [{ rounds: 3 }, [3], ['3 samples', '3 rounds'], ['one turn', 'one process']],
    [{ rounds: 2 }, [2, 6], ['2 to 6 samples', '2 rounds', 'one process'], ['had one turn']],
    [{}, [1], ['1 sample a figure', 'one turn'], ['one process']],
  ])('a part with %j and %j samples says so', (parameters, samples, said, unsaid) => {
    const text = roundsText(partOf({ parameters, figures: counts(...samples) }))
    for (const words of said) expect(text).toContain(words)
    for (const words of unsaid) expect(text).not.toContain(words)
  })

  const chart = { title: 'Speed', kind: 'bars', yLabel: 'rate', yScale: 'log', names: [] } as const

  it('bars are each named, or many others by the least and the most of them', () => {
    const others = ['a', 'b', 'c'].map((contender, index) =>
      figureOf({ contender, samples: [1000 * (index + 1)] }),
    )
    expect(chartText([figureOf(), ...others.slice(0, 1)], chart, 'ours')).toBe(
      'Speed. Bars, rate (log scale). valueGet: ours 100/s, a 1 k/s.',
    )
    expect(chartText([figureOf(), ...others], chart, 'ours')).toBe(
      'Speed. Bars, rate (log scale). valueGet: ours 100/s, 3 others from 1 k/s (a) to 3 k/s (c).',
    )
  })

  it('lines are named by where they begin and end', () => {
    const figures = [10, 1, 5].map((x) => figureOf({ x, samples: [x] }))
    const lines = { ...chart, kind: 'lines', xLabel: 'keys' } as const
    expect(chartText(figures, lines, 'ours')).toBe(
      'Speed. Lines, rate (log scale) over keys. valueGet, ours: 1/s at 1, 10/s at 10.',
    )
  })
})
