/** Parts that stand for those of the benchmark: small programs, run as those are. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PARTS, type SuitePart } from '../../bench/suite/parts.js'
import { readResult, writeResult } from '../../bench/suite/result.js'
import { measure } from '../../bench/suite/run.js'
import { runPart } from '../../bench/suite/run-part.js'
import { figureOf, measuredOf, partOf, resultOf } from './results.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
let directory = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bench-suite-'))
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

function program(name: string, code: string): SuitePart {
  const module = join(directory, `${name}.mjs`)
  writeFileSync(module, code)
  const parameters = { quick: ['--quick'], default: [], full: ['--full', '--more'] }
  return { name, module, parameters }
}

/** Prints a part, and ends with `status`. */
function printing(name: string, status: number): SuitePart {
  const part = JSON.stringify(JSON.stringify(partOf({ part: name })))
  return program(
    name,
    `console.log('progress'); console.log(${part}); process.exitCode = ${status}`,
  )
}

describe('a part', () => {
  it.each([0, 1])('is measured when it gives its figures and ends with %d', async (status) => {
    const result = await runPart(printing(`status-${status}`, status), 'default')
    expect(result).toMatchObject({
      status: 'measured',
      part: partOf({ part: `status-${status}` }),
      load: { start: expect.any(Number), end: expect.any(Number) },
    })
  })

  it('is told to print JSON, and how large it is to be', async () => {
    const echo = program(
      'echo',
      `console.log(JSON.stringify({ ...${JSON.stringify(partOf())}, notes: process.argv.slice(2) }))`,
    )
    for (const [size, parameters] of [
      ['default', ['--json']],
      ['quick', ['--json', '--quick']],
      ['full', ['--json', '--full', '--more']],
    ] as const) {
      expect(await runPart(echo, size)).toMatchObject({ part: { notes: parameters } })
    }
  })

  it.each([
    ['throws', 'throw new Error("disk is full")', 'status 1 and gave no figures'],
    ['ends with another status', 'console.log("{}"); process.exit(2)', 'status 2'],
    ['is killed', 'process.kill(process.pid, "SIGKILL")', 'signal SIGKILL'],
    ['prints nothing', '', 'status 0 and gave no figures'],
    ['prints no JSON', 'console.log("done")', 'JSON'],
    ['prints something else', 'console.log("[1]")', 'must be an object, not [1]'],
  ])('that %s has failed, with the reason', async (name, code, reason) => {
    const result = await runPart(program(name.replaceAll(' ', '-'), code), 'quick')
    expect(result).toMatchObject({ status: 'failed', reason: expect.stringContaining(reason) })
  })
})

describe('a run', () => {
  it('B1, B2: writes the result after every part, and goes on after one that fails', async () => {
    const out = join(directory, 'run')
    const seen = join(directory, 'seen.json')
    const results = JSON.stringify(join(out, 'results.json'))
    const looking = program(
      'looking',
      `import { copyFileSync } from 'node:fs'
       copyFileSync(${results}, ${JSON.stringify(seen)})
       throw new Error('enough')`,
    )
    const parts = [printing('first', 0), looking, printing('last', 1)]
    const result = await measure(parts, 'quick', out)
    expect(result.parts.map(({ name, status }) => [name, status])).toEqual([
      ['first', 'measured'],
      ['looking', 'failed'],
      ['last', 'measured'],
    ])
    expect(readResult(out)).toEqual(result)
    expect(result.finishedAt).toBeDefined()
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('id="looking"')

    const meanwhile = readResult(seen)
    expect(meanwhile.parts.map(({ name }) => name)).toEqual(['first'])
    expect(meanwhile.finishedAt).toBeUndefined()
  })
})

describe('a run, before its first part', () => {
  it('B1: has written a result', async () => {
    const out = join(directory, 'empty')
    const results = JSON.stringify(join(out, 'results.json'))
    const seen = join(directory, 'empty.json')
    const looking = program(
      'early',
      `import { copyFileSync } from 'node:fs'
       copyFileSync(${results}, ${JSON.stringify(seen)})`,
    )
    await measure([looking], 'quick', out)
    expect(readResult(seen)).toMatchObject({ parts: [], versions: { contenders: {} } })
    expect(readResult(seen).finishedAt).toBeUndefined()
  })

  it('B1: measures nothing where the result cannot be written', async () => {
    const file = join(directory, 'file')
    const ran = join(directory, 'ran')
    writeFileSync(file, '')
    const part = program('touching', `import fs from 'node:fs'; fs.writeFileSync('${ran}', '')`)
    await expect(measure([part], 'quick', join(file, 'out'))).rejects.toThrow('ENOTDIR')
    expect(existsSync(ran)).toBe(false)
  })
})

it('a run has the versions of those that were measured or are absent, and of no others', async () => {
  const part = partOf({ part: 'two', absent: { 'rocksdb-native': 'why' } })
  const code = `console.log(${JSON.stringify(JSON.stringify(part))})`
  const { versions } = await measure([program('two', code)], 'quick', join(directory, 'versions'))
  expect(Object.keys(versions.contenders)).toEqual(['classic-level', 'rocksdb-native'])
})

describe('the parts', () => {
  it('by default leave out no contender', () => {
    const state = PARTS.find(({ name }) => name === 'state')
    expect(state?.parameters.default).toEqual(['--keys', '50000', '--millis', '50'])
  })
})

describe('npm run bench', () => {
  const suite = (...parameters: readonly string[]) => {
    const command = ['--import', 'tsx', 'bench/suite/main.ts', ...parameters]
    return spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' })
  }

  it('renders an earlier result again', () => {
    const out = join(directory, 'earlier')
    const figures = [figureOf(), figureOf({ contender: 'lmdb' })]
    writeResult(out, resultOf({ parts: [measuredOf({ figures })] }))
    const command = ['run', '--silent', 'bench', '--', '--render', out]
    const { status } = spawnSync('npm', command, { cwd: root, encoding: 'utf8' })
    expect(status).toBe(0)
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('State operations')
    expect(existsSync(join(out, 'figures', 'state-operations.svg'))).toBe(true)
  })

  it('writes nothing where there is a result, or where nothing can be written', () => {
    const out = join(directory, 'taken')
    const file = join(directory, 'no-directory')
    writeResult(out, resultOf())
    writeFileSync(file, '')
    const taken = suite('--quick', '--only', 'rescale', '--out', out)
    expect(taken.stderr).toBe(
      `--out: ${out} has the result of an earlier run; name another directory.\n`,
    )
    const impossible = suite('--quick', '--only', 'rescale', '--out', join(file, 'out'))
    expect(impossible.stderr).toMatch(/^--out: cannot write there: ENOTDIR.*\n$/)
    expect([taken.status, impossible.status]).toEqual([2, 2])
    expect(readResult(out)).toEqual(resultOf())
  })

  it.each<[string[], string]>([
    [['--only', 'state,nothing'], '--only: there is no part nothing; see --help.\n'],
    [['--render', '/nowhere'], 'There is no /nowhere.\n'],
    [['--render', '/nowhere', '--quick'], '--render measures nothing: it takes no other option.\n'],
    [['--quick', '--full'], '--quick and --full exclude one another.\n'],
    [['--nothing'], "Unknown option '--nothing'\nSee --help.\n"],
  ])('%j ends with 2 and says why', (parameters, message) => {
    const { status, stderr } = suite(...parameters)
    expect([status, stderr]).toEqual([2, message])
  })
})
