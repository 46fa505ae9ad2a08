import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BenchChart } from '../../bench/harness/part.js'
import { drawChart } from '../../bench/suite/report/chart.js'
import { shortNames } from '../../bench/suite/report/layout.js'
import { reportHtml } from '../../bench/suite/report/report.js'
import { rangeText, spreadText, valueText } from '../../bench/suite/report/text.js'
import { expectWellFormed, pageOf, textsOf } from './pages.js'
import { figureOf, measuredOf, partOf, resultOf } from './results.js'

const bars: BenchChart = {
  title: 'Operations',
  kind: 'bars',
  yLabel: 'operations per second',
  yScale: 'log',
  names: ['valueGet', 'valueAdd'],
}
const lines: BenchChart = { ...bars, kind: 'lines', xLabel: 'keys', xScale: 'log' }

const contenders = ['ours', 'lmdb', 'classic-level']
const grid = ['valueGet', 'valueAdd'].flatMap((name) =>
  contenders.map((contender, index) =>
    figureOf({ name, contender, samples: [100 * (index + 1), 120 * (index + 1)] }),
  ),
)
const series = [10, 100, 1000].flatMap((x) => grid.map((figure) => ({ ...figure, x })))

describe('a chart', () => {
  it('has every figure, with its range in words, and is well-formed', () => {
    for (const [chart, figures] of [
      [bars, grid],
      [lines, series],
    ] as const) {
      const svg = drawChart(partOf({ figures }), chart, 900)?.svg ?? ''
      const titles = textsOf(svg, 'title').join('\n')
      for (const { name, contender } of figures) {
        expect(titles).toMatch(
          new RegExp(`${name}.*, ${contender}: [^(]+\\(.* to .*, 2 samples\\)`),
        )
      }
      expectWellFormed(svg)
    }
  })

  it('labels bars with the contenders and their medians, and panels with the names', () => {
    const svg = drawChart(partOf({ figures: grid }), bars, 900)?.svg ?? ''
    const texts = textsOf(svg, 'text')
    expect(texts).toEqual(expect.arrayContaining([...contenders, 'valueGet', 'valueAdd', '110/s']))
  })

  it('has the names as rows where there is one contender', () => {
    const figures = grid.filter(({ contender }) => contender === 'ours')
    const texts = textsOf(drawChart(partOf({ figures }), bars, 900)?.svg ?? '', 'text')
    expect(texts).toEqual(expect.arrayContaining(['valueGet', 'valueAdd']))
    expect(texts).not.toContain('ours')
  })

  it('names every line in a legend', () => {
    const texts = textsOf(drawChart(partOf({ figures: series }), lines, 900)?.svg ?? '', 'text')
    for (const contender of contenders) {
      expect(texts.filter((text) => text === contender)).toHaveLength(1)
    }
    expect(texts).toEqual(expect.arrayContaining(['10', '100', '1 k']))
  })

  it('has the contenders in the order of the part, however those of a name are ordered', () => {
    const valueAdd = grid.filter(({ name }) => name === 'valueAdd').toReversed()
    const figures = [...grid.filter(({ name }) => name === 'valueGet'), ...valueAdd]
    const texts = textsOf(drawChart(partOf({ figures }), bars, 900)?.svg ?? '', 'text')
    expect(texts.filter((text) => contenders.includes(text))).toEqual(contenders)
  })

  it('has bars for lines where there is one place on the x axis', () => {
    const figures = series.filter(({ x }) => x === 100)
    const svg = drawChart(partOf({ figures }), lines, 900)?.svg ?? ''
    expect(textsOf(svg, 'text')).toEqual(expect.arrayContaining(['valueGet, 100', '110/s']))
  })

  it('leaves out of names the words that all of them begin with', () => {
    const short = (...names: string[]) => [...shortNames(names).values()]
    const upload = 'uploaded: 200 MB, 1 %, uniform, '
    expect(short(`${upload}0 reads`, `${upload}5 reads`)).toEqual(['0 reads', '5 reads'])
    expect(short(`${upload}0 reads`, 'uploaded: 20 MB')).toEqual([
      '200 MB, 1 %, uniform, 0 reads',
      '20 MB',
    ])
    expect(short('uploaded: 20 MB', 'uploaded: 20 MB, more')).toEqual(['20 MB', '20 MB, more'])
    expect(short('mapGet', 'mapUpdate')).toEqual(['mapGet', 'mapUpdate'])
    expect(short(upload, upload)).toEqual([upload])
  })

  it('has hollow bars and symbols of one sample, and says so', () => {
    const [first, ...rest] = grid
    const once = { ...figureOf(first), samples: [5] }
    const hollow = (svg: string) => svg.match(/fill="var\(--ground\)"/g)?.length ?? 0
    for (const [chart, figures] of [
      [bars, [once, ...rest]],
      [lines, [{ ...once, x: 10 }, ...series.slice(1)]],
    ] as const) {
      const picture = drawChart(partOf({ figures }), chart, 900)
      expect(hollow(picture?.svg ?? '')).toBe(1)
      expect(textsOf(picture?.svg ?? '', 'title').join('\n')).toContain('ours: 5/s (one sample)')
      expect(picture?.samples).toContain('hollow: one sample')
    }
    expect(hollow(drawChart(partOf({ figures: grid }), bars, 900)?.svg ?? '')).toBe(0)
  })

  it('says of an empty row that it was not measured', () => {
    const figures = grid.filter((_, index) => index !== 4)
    const texts = textsOf(drawChart(partOf({ figures }), bars, 900)?.svg ?? '', 'text')
    expect(texts.filter((text) => text === 'not measured')).toHaveLength(1)
  })

  it('names the panel where there is one, unless its title does', () => {
    const figures = grid.filter(({ name }) => name === 'valueGet')
    const textsOfTitle = (title: string) =>
      textsOf(drawChart(partOf({ figures }), { ...bars, title }, 900)?.svg ?? '', 'text')
    expect(textsOfTitle('Operations')).toContain('valueGet')
    expect(textsOfTitle('Operations: valueGet')).not.toContain('valueGet')
  })

  it('is none without figures', () => {
    expect(drawChart(partOf(), { ...bars, names: ['mapGet'] }, 900)).toBeUndefined()
  })

  it('can be drawn of any figures: zeros, equal ones, one of many, none at some places', () => {
    const figure = fc.record({
      name: fc.constantFrom('valueGet', 'valueAdd', 'a "name" & <sign>'),
      contender: fc.constantFrom(...contenders, '<b>'),
      x: fc.constantFrom(0, 1, 1000),
      samples: fc.array(fc.constantFrom(0, 1e-9, 1, 1000, 1e15), { minLength: 1, maxLength: 3 }),
    })
    const figures = fc.uniqueArray(figure, {
      minLength: 1,
      selector: ({ name, contender, x }) => JSON.stringify([name, contender, x]),
    })
    const scale = fc.constantFrom('linear' as const, 'log' as const)
    fc.assert(
      fc.property(figures, scale, fc.constantFrom(bars, lines), (some, yScale, chart) => {
        const names = [...new Set(some.map(({ name }) => name))]
        const part = partOf({ figures: some.map(figureOf) })
        const picture = drawChart(part, { ...chart, yScale, names, xScale: 'linear' }, 900)
        expectWellFormed(picture?.svg ?? '')
        expect(picture?.svg).not.toMatch(/NaN|Infinity/)
      }),
      { numRuns: 50 },
    )
  })
})

describe('the report', () => {
  const part = measuredOf({
    title: 'A <part> & more',
    figures: [...grid, figureOf({ name: '<script>alert(1)</script>', samples: [1, 2, 3] })],
    charts: [bars],
    goals: [
      { text: 'twice as fast', reached: true },
      { text: 'half the <bytes>', reached: false },
    ],
    absent: { 'rocksdb-native': 'does not install: "no" compiler' },
    notes: ['Not measured here: disks.'],
  })
  const failed = {
    name: 'scale',
    status: 'failed',
    seconds: 3,
    load: { start: 2, end: 2 },
    reason: 'it ended with <status 2>',
  } as const
  const html = reportHtml(resultOf({ parts: [part, failed] }))

  it('holds every figure, its range, the goals, what is absent, the notes and what failed', () => {
    const text = pageOf(html).documentElement.textContent
    for (const expected of [
      ...part.part.figures.map(({ name }) => name),
      ...contenders,
      '110/s',
      '100 to 120, 2×',
      '✓ reached twice as fast',
      '✗ missed half the <bytes>',
      'rocksdb-native: does not install: "no" compiler',
      'Not measured here: disks.',
      'it ended with <status 2>',
      'A <part> & more',
    ]) {
      expect(text).toContain(expected)
    }
  })

  it('says machine, versions, commit and what is not measured', () => {
    const text = pageOf(html).documentElement.textContent
    for (const expected of [
      'Processor 1000',
      '2 cores',
      '16 GB',
      'v20.20.2',
      'Debian',
      'Linux 6',
    ]) {
      expect(text).toContain(expected)
    }
    expect(text).toContain('File system of the temporary directoryext4')
    for (const expected of ['1.2.3', 'commit abc', '3.5.6', 'What is not measured']) {
      expect(text).toContain(expected)
    }
  })

  it('says how often each part measured, and nothing of the order within one round', () => {
    const textOf = (fields: Parameters<typeof measuredOf>[0]) =>
      pageOf(reportHtml(resultOf({ parts: [measuredOf(fields)] }))).documentElement.textContent
    expect(textOf({ parameters: { rounds: 1 } })).toContain(
      '1 sample a figure. Each contender had one turn',
    )
    const three = textOf({ parameters: { rounds: 3 }, figures: [figureOf({ samples: [1, 2, 3] })] })
    expect(three).toContain(
      '3 samples a figure. 3 rounds, each of which began with another contender.',
    )
    expect(textOf({})).not.toContain('a process of its own')
    expect(textOf({})).not.toContain('every round begins')
  })

  it('can be read by the keyboard and by ear', () => {
    const page = pageOf(html)
    const count = (selector: string) => [...page.querySelectorAll(selector)].length
    expect(count('.wide')).toBe(2)
    expect(count('.wide[tabindex="0"][role="region"][aria-label]')).toBe(2)
    expect(count('table')).toBe(2)
    expect(textsOf(html, 'table > caption').every((text) => text !== '')).toBe(true)
    expect(count('table > caption')).toBe(2)
    expect(count('tbody tr')).toBe(count('tbody tr > th[scope="row"]:first-child'))
    const label = /<svg role="img" aria-label="([^"]*)"/.exec(html)?.[1]
    expect(label).toMatch(
      /^Operations\. Bars, .* valueGet: ours 110\/s, lmdb 220\/s, classic-level/,
    )
    expect(textsOf(html, 'figcaption')).toEqual([
      'Operations Medians of 2 samples, range as a thin line.',
    ])
  })

  it('has an anchor for each part, and every link leads to one', () => {
    expect(pageOf(html).querySelector('h2#scale')?.textContent).toBe('scale')
    for (const [, target] of html.matchAll(/href="#([^"]*)"/g))
      expect(html).toContain(`id="${target}"`)
  })

  it('needs nothing from elsewhere and runs nothing', () => {
    expect(html).not.toMatch(/<script|<link|<img|@import|url\(|href="(?!#)|src=/)
    expect(html).not.toContain('http')
  })

  it('escapes what it is given', () => {
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
    expect(html).not.toContain('<bytes>')
    expect(html).not.toContain('<status 2>')
  })

  it('warns of a busy machine, a quick run, changed files, an interruption', () => {
    const warningsOf = (fields: Parameters<typeof resultOf>[0]) => {
      const { finishedAt, ...unfinished } = resultOf(fields)
      const result =
        fields?.size === 'full' ? unfinished : { ...unfinished, finishedAt: finishedAt ?? '' }
      return textsOf(reportHtml(result), '.warning').join('\n')
    }
    expect(warningsOf({})).toBe('')
    expect(warningsOf({ parts: [failed] })).toContain('busy')
    expect(warningsOf({ size: 'quick' })).toContain('A quick run')
    expect(warningsOf({ size: 'full' })).toContain('interrupted')
    const versions = { ...resultOf().versions, changed: true }
    expect(warningsOf({ versions })).toContain('differ from the commit')
  })

  it('is the same file for the same result', () => {
    expect(reportHtml(resultOf({ parts: [part, failed] }))).toBe(html)
  })
})

describe('numbers', () => {
  it.each([
    [1_234_567, 'ops/s', '1.23 M/s'],
    [999.9, 'ops/s', '1 k/s'],
    [85, 'ops/s', '85/s'],
    [0, 'bytes', '0 B'],
    [20_480, 'bytes', '20.5 kB'],
    [2e9, 'bytes', '2 GB'],
    [0.5432, 'ms', '0.543 ms'],
    [12_345, 'ms', '12.3 s'],
    [1.169, 'times', '1.17 ×'],
    [1234.5, 'times', '1235 ×'],
    [5, 'keys', '5 keys'],
  ])('%d %s reads %s', (value, unit, text) => {
    expect(valueText(value, unit)).toBe(text)
  })

  it('have a range where there are several', () => {
    expect(rangeText([1], 'ms')).toBe('')
    expect(rangeText([3, 1, 2], 'ms')).toBe('1 ms to 3 ms')
    expect(spreadText({ min: 1e6, median: 2e6, max: 3e6 }, 'ops/s')).toBe('2 M/s (1 M to 3 M)')
  })
})
