/** Parts that stand for those of the benchmark: small programs, run as those are. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readPart, type SuitePart } from '../../bench/suite/parts.js'
import { readResult, writeResult } from '../../bench/suite/result.js'
import { measure } from '../../bench/suite/run.js'
import { runPart } from '../../bench/suite/run-part.js'
import { measuredOf, partOf, resultOf } from './results.js'

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
  return { name, module, parameters, read: readPart }
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

describe('npm run bench', () => {
  it('renders an earlier result again', () => {
    const out = join(directory, 'earlier')
    writeResult(out, resultOf({ parts: [measuredOf()] }))
    const command = ['run', '--silent', 'bench', '--', '--render', out]
    const { status } = spawnSync('npm', command, { cwd: root, encoding: 'utf8' })
    expect(status).toBe(0)
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('State operations')
    expect(existsSync(join(out, 'figures', 'state-operations.svg'))).toBe(true)
  })

  it.each([
    [['--only', 'state,nothing'], '--only: there is no part nothing; see --help.\n'],
    [['--render', '/nowhere'], 'There is no /nowhere.\n'],
  ])('%j ends with 2 and says why', (parameters, message) => {
    const command = ['--import', 'tsx', 'bench/suite/main.ts', ...parameters]
    const { status, stderr } = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' })
    expect([status, stderr]).toEqual([2, message])
  })
})
