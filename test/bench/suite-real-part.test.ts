/** One of the benchmark's own parts, small, all the way to the report. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { compareResults } from '../../bench/compare/compare.js'
import { PARTS, type SuitePart } from '../../bench/suite/parts.js'
import { readResult } from '../../bench/suite/result.js'
import { measure } from '../../bench/suite/run.js'

const SMALL = '--state-mb 1 --change 10 --checkpoints 2 --only incremental,full --interval-ms 100'

function smallIncremental(): SuitePart {
  const part = PARTS.find(({ name }) => name === 'incremental')
  if (part === undefined) throw new Error('there is no part incremental')
  return { ...part, parameters: { ...part.parameters, quick: SMALL.split(' ') } }
}

it('is measured, written, drawn and can be compared', { timeout: 120_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'bench-real-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const result = await measure([smallIncremental()], 'quick', directory)
  expect(readResult(directory)).toEqual(result)
  const [part] = result.parts
  if (part?.status !== 'measured') throw new Error(`the part failed: ${JSON.stringify(part)}`)
  const { figures, charts, absent } = part.part
  expect(absent).toEqual({})
  expect(new Set(figures.map(({ contender }) => contender))).toEqual(
    new Set(['incremental', 'full']),
  )
  const drawn = charts.filter(({ names }) => figures.some(({ name }) => names.includes(name)))
  expect(drawn.length).toBeGreaterThan(1)

  const report = readFileSync(join(directory, 'report.html'), 'utf8')
  for (const { title } of drawn) expect(report).toContain(title)
  expect(report.match(/<svg/g)?.length).toBeGreaterThanOrEqual(drawn.length)
  expect(compareResults(result, result).passes).toBe(true)
})
