/** Measurements in processes of their own, and why they fail. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inChild, reasonOf, runNode } from '../../bench/harness/child-process.js'

const execute = promisify(execFile)
const harness = new URL('../../bench/harness/child-process.ts', import.meta.url)
let directory = ''
let child: URL

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bench-child-'))
  const path = join(directory, 'child.mjs')
  writeFileSync(
    path,
    `import { answerParent } from ${JSON.stringify(harness.href)}
     await answerParent({
       add: async (a, b) => a + b,
       nothing: async () => {},
       fail: async (name, message) => { throw new globalThis[name](message, { cause: 7 }) },
       leave: async (status) => process.exit(status),
       kill: async () => process.kill(process.pid, 'SIGKILL'),
     })`,
  )
  child = pathToFileURL(path)
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

async function reasonOfChild(name: string, ...args: unknown[]): Promise<string> {
  return reasonOf(await inChild(child, name, ...args).catch((error: unknown) => error))
}

describe('a measurement in a child', () => {
  it('gives what the part of its module returns', async () => {
    expect(await inChild(child, 'add', 'è', 'b')).toBe('èb')
    expect(await inChild(child, 'nothing')).toBeNull()
  })

  it('that fails tells the error, without a stack and without a path', async () => {
    expect(await reasonOfChild('fail', 'RangeError', 'no state')).toBe('RangeError: no state')
    expect(await reasonOfChild('missing')).toBe('Error: no part missing')
    expect(await reasonOfChild('leave', 3)).toBe('the process ended with status 3')
    expect(await reasonOfChild('kill')).toBe('the process was ended by SIGKILL')
  })

  it('shows all of the standard error where nobody asks for the reason', async () => {
    await expect(inChild(child, 'fail', 'Error', 'no state')).rejects.toThrow(/no state\n +at /)
  })

  it.each([
    ['hangs', 'setInterval(() => {}, 1e6)', 1, 'longer than'],
    [
      'does not end when told to',
      'process.on("SIGTERM", () => {}); setInterval(() => {}, 1e6)',
      1,
      'longer than',
    ],
    [
      'prints without end',
      'setInterval(() => process.stdout.write("x".repeat(2 ** 20)))',
      1e6,
      'too much',
    ],
  ])('that %s is ended', async (_, code, timeoutMs, reason) => {
    const options = { stderr: 'inherit', timeoutMs, graceMs: 1 } as const
    await expect(runNode(['-e', code], options)).rejects.toThrow(reason)
  })
})

describe('the reason of another failure', () => {
  it('of a command is the last error its standard error names', async () => {
    const said = `at first
Exception in thread "main" java.io.UncheckedIOException: wrapped
\tat peer.StateBenchmark.main(StateBenchmark.java:12)
Caused by: java.io.IOException: no space: /data
\t... 3 more`
    const failed = execute(process.execPath, [
      '-e',
      'console.error(process.argv[1]); process.exit(1)',
      said,
    ])
    const error = await failed.catch((reason: unknown) => reason)
    expect(reasonOf(error)).toBe('java.io.IOException: no space: /data')
  })

  it('of a command that is not there, and of any other, is its message', async () => {
    const missing = await execute('no-such-command').catch((reason: unknown) => reason)
    expect(reasonOf(missing)).toBe('spawn no-such-command ENOENT')
    expect(reasonOf(new TypeError('no state'))).toBe('no state')
    expect(reasonOf('no state')).toBe('no state')
  })

  it.each([
    ['Error [ERR_X]: no file', 'Error [ERR_X]: no file'],
    ['FATAL ERROR: Reached heap limit', 'FATAL ERROR: Reached heap limit'],
    ['java.lang.StackOverflowError', 'java.lang.StackOverflowError'],
    ["throw new Error('not this')", 'the process ended with status 1'],
  ])('of %j is %j', (stderr, reason) => {
    const error = Object.assign(new Error(`Command failed: x\n${stderr}`), { stderr, code: 1 })
    expect(reasonOf(error)).toBe(reason)
  })
})
