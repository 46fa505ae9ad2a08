/** The rescale part: that every way brings back what was written, what it prints, what it refuses. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adopt, downloaded, linked, recovered } from '../../bench/rescale/adoption.js'
import { verifiedOf, type Measurement, type Restore } from '../../bench/rescale/measurement.js'
import { rescalePart } from '../../bench/rescale/part.js'
import {
  contentsByKeyGroup,
  contentsIn,
  ContentsCounter,
  keyOf,
  valueOf,
  type Contents,
} from '../../bench/rescale/records.js'
import { clearAndCopy, rescale, rewrite } from '../../bench/rescale/rivals.js'
import { buildSources, rangesOf, readSources } from '../../bench/rescale/sources.js'
import { readPart } from '../../bench/suite/parts.js'
import { KeyGroupRange } from '../../src/index.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const timeout = 120_000
let directory = ''

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bench-rescale-'))
  await buildSources(join(directory, 'sources'), 2, 100_000)
}, timeout)

afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('what is verified', () => {
  it('is the first eighth of the key groups of a subtask, at least one, or all', () => {
    const range = KeyGroupRange.of(64, 127)
    expect(verifiedOf(range, 'eighth')).toEqual(KeyGroupRange.of(64, 71))
    expect(verifiedOf(KeyGroupRange.of(5, 6), 'eighth')).toEqual(KeyGroupRange.of(5, 5))
    expect(verifiedOf(range, 'all')).toEqual(range)
  })

  it('adds up, by key group, to all records there are', () => {
    const versions = Uint8Array.of(1, 0, 3, 1)
    const all = new ContentsCounter()
    for (const [record, version] of versions.entries()) {
      if (version > 0) all.add(Buffer.from(keyOf(record)), valueOf(record, version))
    }
    const byKeyGroup = contentsByKeyGroup(versions)
    expect(byKeyGroup).toHaveLength(128)
    expect(contentsIn(byKeyGroup, rangesOf(3))).toEqual(all.contents)
    expect(all.contents.entries).toBe(3)
    expect(contentsIn(byKeyGroup, [])).toEqual({ entries: 0, checksum: 0 })
  })

  it.each<[string, (restore: Restore) => Promise<Measurement>]>([
    ['adoption', (restore) => adopt(restore, linked)],
    ['adoption of what a dead process left', (restore) => adopt(restore, recovered)],
    ['adoption from storage', (restore) => adopt(restore, downloaded)],
    ['clearing and copying', (restore) => rescale(restore, clearAndCopy)],
    ['rewriting', (restore) => rescale(restore, rewrite)],
  ])('is what was written, after %s', async (name, way) => {
    const sources = readSources(join(directory, 'sources'))
    const ranges = rangesOf(3)
    const contentsOf = async (verify: Restore['verify']): Promise<Contents | undefined> => {
      const workDirectory = join(directory, `${name}, ${verify}`)
      return (await way({ sources, workDirectory, ranges, verify })).contents
    }
    const expected = (verify: 'eighth' | 'all'): Contents =>
      contentsIn(
        sources.contentsByKeyGroup,
        ranges.map((range) => verifiedOf(range, verify)),
      )
    expect(await contentsOf('all')).toEqual(expected('all'))
    expect(await contentsOf('eighth')).toEqual(expected('eighth'))
    expect(expected('eighth').entries).toBeGreaterThan(0)
    expect(expected('eighth').entries).toBeLessThan(expected('all').entries / 4)
    expect(await contentsOf('none')).toBeUndefined()
  })
})

it('holds a larger state to twice the time of a smaller one', () => {
  const options = { stateMb: 2000, rounds: 2, directions: [], verify: 'all' } as const
  const partOf = (largeMs: number): ReturnType<typeof rescalePart> =>
    rescalePart(options, [], {
      small: { stateMb: 200, samplesMs: [90, 110] },
      large: { stateMb: 2000, samplesMs: [largeMs, largeMs] },
    })
  const { goals, figures } = partOf(200)
  expect(goals).toEqual([{ text: expect.stringContaining('2.00 times as long'), reached: true }])
  expect(figures.map(({ x, samples }) => [x, samples])).toEqual([
    [200, [90, 110]],
    [2000, [200, 200]],
  ])
  expect(partOf(201).goals.map(({ reached }) => reached)).toEqual([false])
  expect(rescalePart(options, [], undefined).goals).toEqual([])
})

describe('npm run bench:rescale', { timeout }, () => {
  function run(...parameters: readonly string[]): SpawnSyncReturns<string> {
    const command = ['--import', 'tsx', 'bench/rescale/main.ts', ...parameters]
    return spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' })
  }

  it('prints a part of the benchmark', () => {
    const size = ['--state-mb', '1', '--rounds', '1', '--directions', '1-2']
    const { stdout } = run('--quick', '--verify', 'eighth', '--json', ...size)
    const { parameters, figures, goals, notes } = readPart(stdout)
    expect(parameters).toEqual({ stateMb: 1, rounds: 1, directions: '1-2', verify: 'eighth' })
    const bars = figures.filter(({ name }) => name === '1 to 2')
    expect(bars.map(({ contender }) => contender)).toEqual([
      'adopting tables',
      'clear() key by key, then copy',
      'rewriting',
    ])
    expect(figures).toHaveLength(6)
    expect(goals).toHaveLength(2)
    expect(notes.join()).toContain('first eighth of the key groups')
  })

  it.each([
    [['--directions', '1-2,1-3'], '--directions must be of 1-2,2-1,2-3,3-2, got 1-2,1-3.\n'],
    [['--verify', 'none'], '--verify must be all or eighth, got none.\n'],
  ])('%j ends with 2 and says why', (parameters, message) => {
    const { status, stderr } = run(...parameters)
    expect([status, stderr]).toEqual([2, message])
  })
})
