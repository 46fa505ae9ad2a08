/** `npm run bench:compare` as it is run: its arguments, what it prints, how it ends. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeResult } from '../../bench/suite/result.js'
import { measuredOf, resultOf, resultWith } from './results.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
let directory = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bench-compare-'))
  writeResult(join(directory, 'a'), resultWith({ samples: [90, 100, 110] }, { contender: 'lmdb' }))
  writeResult(join(directory, 'same'), resultWith({ samples: [100] }, { contender: 'lmdb' }))
  writeResult(join(directory, 'slower'), resultWith({ samples: [84] }, { contender: 'lmdb' }))
  const faster = resultWith({ samples: [200] })
  const machine = { ...faster.machine, cores: 8 }
  writeResult(join(directory, 'faster'), { ...faster, machine })
  const goal = { text: '3 times as fast', reached: true }
  const lost = { text: '1 times as fast', reached: false }
  writeResult(join(directory, 'reached'), resultOf({ parts: [measuredOf({ goals: [goal] })] }))
  const { part: _, ...measured } = measuredOf({ part: 'scale' })
  const failed = { ...measured, status: 'failed', reason: 'it broke' } as const
  const parts = [measuredOf({ goals: [lost] }), failed]
  writeResult(join(directory, 'missed'), resultOf({ parts }))
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

function compare(...parameters: readonly string[]): {
  status: number | null
  stdout: string
  stderr: string
} {
  const command = ['--import', 'tsx', 'bench/compare/main.ts', ...parameters]
  return spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' })
}

describe('npm run bench:compare', () => {
  it('passes two equal results, by directory and by file', () => {
    const { status, stdout } = compare(
      join(directory, 'a'),
      join(directory, 'same', 'results.json'),
    )
    expect(stdout).toBe('2 figures compared, 0 fail, 0 are only in A, 0 only in B: passes\n')
    expect(status).toBe(0)
  })

  it('fails a slower one, with the figure, both ranges and the ratio', () => {
    const { status, stdout } = compare(join(directory, 'a'), join(directory, 'slower'))
    expect(stdout).toMatch(
      /state: valueGet, ours .* 100\/s \(90 to 110\) .* 84\/s .* 0\.84 .* FAILS/,
    )
    expect(stdout).toContain('2 figures compared, 1 fail, 0 are only in A, 0 only in B: FAILS')
    expect(status).toBe(1)
  })

  it('fails a faster one of another machine that lost a figure', () => {
    const { status, stdout } = compare('--all', join(directory, 'a'), join(directory, 'faster'))
    expect(stdout).toContain('UNLIKE: different machine: cores 2 and 8')
    expect(stdout).toContain('ONLY IN A: state: valueGet, lmdb')
    expect(stdout).toMatch(/state: valueGet, ours .* 2\.00 .* passes/)
    expect(status).toBe(1)
  })

  it('takes parts and contenders, and prints JSON', () => {
    const { status, stdout } = compare(
      '--json',
      '--anyway',
      '--only=state',
      '--contender=ours',
      join(directory, 'a'),
      join(directory, 'faster'),
    )
    expect(JSON.parse(stdout)).toMatchObject({
      passes: true,
      onlyInA: [],
      compared: [{ ratio: 2 }],
    })
    expect(status).toBe(0)
  })

  it('compares what is unlike when it is told to, and says so', () => {
    const faster = join(directory, 'faster')
    const parameters = [join(directory, 'a'), faster, '--contender', 'ours']
    expect(compare(...parameters).status).toBe(1)
    const { status, stdout } = compare('--anyway', ...parameters)
    expect(stdout).toContain('WARNING: different machine: cores 2 and 8')
    expect(status).toBe(0)
  })

  it('says which goals are lost, and what failed', () => {
    const { status, stdout } = compare(join(directory, 'reached'), join(directory, 'missed'))
    expect(stdout).toContain('GOAL LOST: state: 3 times as fast; in B 1 times as fast\n')
    expect(stdout).toContain('FAILED: part scale failed in B: it broke\n')
    expect(status).toBe(1)
  })

  it('refuses names that are in neither result, and options that there are not, with 2', () => {
    const a = join(directory, 'a')
    for (const [parameters, message] of [
      [['--only', 'state,nosuch'], '--only: neither result has nosuch.\n'],
      [['--contender', 'nosuch'], '--contender: neither result has nosuch.\n'],
      [['--nosuch'], /Unknown option '--nosuch'.*\nSee --help\.\n$/],
    ] as const) {
      const { status, stdout, stderr } = compare(a, a, ...parameters)
      if (typeof message === 'string') expect(stderr).toBe(message)
      else expect(stderr).toMatch(message)
      expect([status, stdout]).toEqual([2, ''])
    }
  })

  it('says in one line what is wrong with a file, and ends with 2', () => {
    const damaged = join(directory, 'damaged')
    mkdirSync(damaged)
    writeFileSync(join(damaged, 'results.json'), JSON.stringify(resultOf()).slice(0, 500))
    const a = join(directory, 'a')
    for (const [parameters, expected] of [
      [[a, damaged], /damaged\/results\.json is no result of npm run bench: .*JSON.*\n$/],
      [[a, join(directory, 'nowhere')], /^There is no .*nowhere\.\n$/],
      [[a], /^Two results are needed, not 1; see --help\.\n$/],
    ] as const) {
      const { status, stdout, stderr } = compare(...parameters)
      expect(stderr).toMatch(expected)
      expect(stderr.trimEnd().split('\n')).toHaveLength(1)
      expect([status, stdout]).toEqual([2, ''])
    }
  })
})
