/** W3: what a dead process leaves in a work directory is of use to one process after it, and is deleted then. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, it } from 'vitest'
import type { TableContents } from '../../src/store/leftover-tables.js'
import { WorkDirectory } from '../../src/store/work-directory.js'
import { ManualClock } from '../support/manual-clock.js'
import { temporaryDirectory } from '../support/state-task.js'

const holderScript = fileURLToPath(new URL('./work-directory-holder.ts', import.meta.url))
const uuid = (n: number): string => `00000000-0000-4000-8000-${`${n}`.padStart(12, '0')}`

function contentsOf(text: string): TableContents {
  const sha256 = createHash('sha256').update(text).digest('hex')
  return { sizeBytes: text.length, sha256, smallest: Buffer.from('a'), largest: Buffer.from('b') }
}

let directory: string
beforeEach(() => {
  directory = join(fs.realpathSync(temporaryDirectory()), 'work')
})

const folders = (): string[] => fs.readdirSync(directory).filter((name) => !name.includes('.lock'))

/** An incarnation with one table, as a killed process leaves it. */
function plantIncarnation(name: string, table: string): void {
  fs.mkdirSync(join(directory, name, 'db'), { recursive: true })
  fs.writeFileSync(join(directory, name, 'db', '000005.ldb'), table)
}

/** The lock of a process that is dead. */
async function plantDeadLock(): Promise<void> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'close')
  const holder = { pid: child.pid, processStartTime: '', hostname: hostname(), id: uuid(1) }
  fs.writeFileSync(join(directory, 'level-state-backend.lock'), JSON.stringify(holder))
}

/** Links a table out of the leftovers, if it is there. */
async function links(work: WorkDirectory, text: string): Promise<boolean> {
  const path = join(directory, '..', 'linked.ldb')
  fs.rmSync(path, { force: true })
  const linked = await work.leftovers.link(contentsOf(text), path)
  if (linked) expect(fs.readFileSync(path, 'utf8')).toBe(text)
  else expect(fs.existsSync(path)).toBe(false)
  return linked
}

describe('what a killed process left', () => {
  beforeEach(async () => {
    plantIncarnation(`inc-task-${uuid(2)}`, 'the table')
    plantIncarnation(`left-task-${uuid(3)}`, 'of before')
    await plantDeadLock()
  })

  it('is put aside by the next one, and goes when that gives the directory up', async () => {
    const work = WorkDirectory.acquire(directory)
    expect(folders()).toEqual([`left-task-${uuid(2)}`])
    expect(await links(work, 'the table')).toBe(true)
    work.release()
    expect(fs.readdirSync(directory)).toEqual([])
  })

  it('is not there for a second one, even if the first was killed too', async () => {
    const work = WorkDirectory.acquire(directory)
    expect(await links(work, 'of before')).toBe(false)
    work.release()
  })

  it('stays until the last user of the directory is gone', async () => {
    const first = WorkDirectory.acquire(directory)
    const second = WorkDirectory.acquire(directory)
    first.release()
    expect(await links(second, 'the table')).toBe(true)
    second.release()
    expect(fs.readdirSync(directory)).toEqual([])
  })

  it('goes as soon as it is swept, while the directory is in use', async () => {
    const work = WorkDirectory.acquire(directory)
    await work.leftovers.sweep()
    expect(folders()).toEqual([])
    expect(await links(work, 'the table')).toBe(false)
    await work.leftovers.sweep()
    work.release()
  })

  it('is handed on by one that failed, whoever else gave the directory up in time', async () => {
    for (let attempt = 0; attempt < 3; attempt++) {
      const failing = WorkDirectory.acquire(directory)
      const other = WorkDirectory.acquire(directory)
      failing.release('failed')
      other.release()
      expect(folders()).toEqual([`inc-task-${uuid(2)}`])
    }
    const work = WorkDirectory.acquire(directory)
    expect(await links(work, 'the table')).toBe(true)
    work.release()
    expect(fs.readdirSync(directory)).toEqual([])
  })

  it('is not handed on once it was swept', async () => {
    const work = WorkDirectory.acquire(directory)
    const swept = work.leftovers.sweep()
    work.release('failed')
    await swept
    expect(fs.readdirSync(directory)).toEqual([])
  })

  it('goes after an hour', async () => {
    const clock = new ManualClock()
    const work = WorkDirectory.acquire(directory, clock)
    await clock.advance(60 * 60 * 1000 - 1)
    expect(await links(work, 'the table')).toBe(true)
    await clock.advance(1)
    for (let turns = 0; turns < 100_000 && folders().length > 0; turns++) await turn()
    expect(folders()).toEqual([])
    work.release()
    expect(clock.sleepers).toBe(0)
  })

  it('is waited for no longer than the directory is held', () => {
    const clock = new ManualClock()
    const work = WorkDirectory.acquire(directory, clock)
    expect(clock.sleepers).toBe(1)
    work.release()
    expect(clock.sleepers).toBe(0)
  })
})

it('S5: a work directory does not grow, however often its process is killed', async () => {
  for (let life = 0; life < 4; life++) {
    const child = spawn(process.execPath, ['--import', 'tsx', holderScript, directory], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const ended = once(child, 'close')
    try {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      await lines.next()
      child.stdin.write('acquire\n')
      expect((await lines.next()).value).toMatch(/^acquired /)
      const left = folders().filter((name) => name.startsWith('left-'))
      const own = folders().filter((name) => name.startsWith('inc-'))
      expect([left.length, own.length]).toEqual([life === 0 ? 0 : 1, 1])
    } finally {
      child.kill('SIGKILL')
      await ended
    }
  }
  WorkDirectory.acquire(directory).release()
  expect(fs.readdirSync(directory)).toEqual([])
})
