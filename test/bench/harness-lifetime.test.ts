/** Processes of the benchmark that are ended from without, by real signals. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readResult } from '../../bench/suite/result.js'
import type { Directories } from './waiting-part.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const waitingPart = join(root, 'test/bench/waiting-part.ts')
/** Three processes start one after the other. */
const timeout = 120_000

interface Running {
  readonly process: ChildProcess
  readonly directories: Directories
  /** Lines of standard error that came after. */
  readonly said: readonly string[]
  /** Status and signal, once every process that shares the standard error has ended. */
  readonly end: Promise<unknown[]>
}

/** Resolves when the innermost process waits. */
async function start(...parameters: readonly string[]): Promise<Running> {
  const child = spawn(process.execPath, ['--import', 'tsx', ...parameters], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const { stderr } = child
  if (stderr === null) throw new Error('it is a pipe')
  const said: string[] = []
  const exit = once(child, 'exit')
  const end = once(stderr, 'close').then(() => exit)
  const directories = await new Promise<Directories>((resolve, reject) => {
    createInterface({ input: stderr }).on('line', (line) => {
      if (line.startsWith('[')) resolve(JSON.parse(line) as Directories)
      else said.push(line)
    })
    void end.then(() => reject(new Error(said.join('\n'))))
  })
  return { process: child, directories, said, end }
}

function left({ directories }: Running): string[] {
  expect(directories).toHaveLength(2)
  return directories.filter((path) => existsSync(path))
}

describe('a part', { timeout }, () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'L1: %s ends it with %d, its child, and their directories',
    async (signal, status) => {
      const part = await start(waitingPart)
      part.process.kill(signal)
      // As a terminal and npm may both send it.
      part.process.kill(signal)
      expect(await part.end).toEqual([status, null])
      expect(left(part)).toEqual([])
      expect(part.said).toEqual([])
    },
  )

  it('L2, L3: ends with its parent, and removes directories', async () => {
    const part = await start(waitingPart)
    part.process.disconnect()
    expect(await part.end).toEqual([1, null])
    expect(left(part)).toEqual([])
  })

  it('L3: that is killed leaves no child', async () => {
    const part = await start(waitingPart)
    part.process.kill('SIGKILL')
    expect(await part.end).toEqual([null, 'SIGKILL'])
    const [own] = part.directories
    expect(left(part)).toEqual([own])
    rmSync(own ?? '', { recursive: true })
  })
})

describe('the suite', { timeout }, () => {
  /** A suite of the waiting part, and one that would be measured next. */
  function suiteIn(directory: string, out: string): string {
    const path = join(directory, 'suite.mjs')
    const url = pathToFileURL(join(root, 'bench/suite/run.ts')).href
    const parts = ['waiting', 'next'].map((name) => ({
      name,
      module: waitingPart,
      parameters: { quick: [], default: [], full: [] },
    }))
    writeFileSync(
      path,
      `import { measure } from ${JSON.stringify(url)}
       await measure(${JSON.stringify(parts)}, 'quick', ${JSON.stringify(out)})`,
    )
    return path
  }

  it('L1: SIGTERM ends its part with all below, and no part is written', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'bench-lifetime-'))
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    const out = join(directory, 'out')
    const suite = await start(suiteIn(directory, out))
    suite.process.kill('SIGTERM')
    expect(await suite.end).toEqual([143, null])
    expect(left(suite)).toEqual([])
    expect(suite.said.filter((line) => /FAILED|next/.test(line))).toEqual([])
    expect(readResult(out).parts).toEqual([])
  })
})
