import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  makeScratchDirectory,
  removeScratchDirectory,
  sweepScratchDirectories,
} from '../../src/store/scratch-directory.js'
import { WorkDirectory } from '../../src/store/work-directory.js'
import { temporaryDirectory } from '../support/state-task.js'

const lockName = 'level-state-backend.lock'
const incarnationName = 'inc-x-00000000-0000-4000-8000-000000000001'

let deadPid: number | undefined
beforeAll(async () => {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'close')
  deadPid = child.pid
})

let parent: string
beforeEach(() => {
  parent = fs.realpathSync(temporaryDirectory())
})

function lock(pid: number | undefined, host = hostname()): string {
  const id = '00000000-0000-4000-8000-000000000002'
  return JSON.stringify({ pid, processStartTime: '', hostname: host, id })
}

/** A scratch directory with an incarnation in it, and a lock, as a process leaves it. */
function plant(lockText: string | undefined): string {
  const path = makeScratchDirectory(parent)
  fs.mkdirSync(join(path, incarnationName, 'tables'), { recursive: true })
  fs.writeFileSync(join(path, incarnationName, 'tables', 'delta-000001.ldb'), 'table')
  if (lockText !== undefined) fs.writeFileSync(join(path, lockName), lockText)
  return path
}

describe('scratch directories', () => {
  it('are new ones, and go with all that is in them', () => {
    const [one, other] = [makeScratchDirectory(parent), makeScratchDirectory(parent)]
    expect(one).not.toBe(other)
    expect(fs.readdirSync(one)).toEqual([])
    fs.writeFileSync(join(one, 'file'), 'x')
    removeScratchDirectory(one)
    removeScratchDirectory(one)
    removeScratchDirectory(other)
    expect(fs.readdirSync(parent)).toEqual([])
  })

  it('that cannot be made: DIRECTORY_NOT_WRITABLE', () => {
    fs.writeFileSync(join(parent, 'file'), '')
    expect(() => makeScratchDirectory(join(parent, 'file'))).toThrow(
      expect.objectContaining({ code: 'DIRECTORY_NOT_WRITABLE' }),
    )
  })

  it('of dead processes are swept', () => {
    for (let count = 0; count < 3; count++) plant(lock(deadPid))
    const elsewhere = join(parent, 'not-ours')
    fs.renameSync(plant(lock(deadPid)), elsewhere)
    sweepScratchDirectories(parent)
    expect(fs.readdirSync(parent)).toEqual(['not-ours'])
    expect(fs.existsSync(join(elsewhere, incarnationName, 'tables', 'delta-000001.ldb'))).toBe(true)
  })

  it.each<[string, () => string]>([
    ['of a live process', () => plant(lock(process.pid))],
    ['of another machine', () => plant(lock(deadPid, 'elsewhere'))],
    ['whose lock names nobody', () => plant('')],
    ['without a lock, which may have been made just now', () => plant(undefined)],
    [
      'with anything strange in it',
      () => {
        const path = plant(lock(deadPid))
        fs.writeFileSync(join(path, 'thesis.txt'), '')
        return path
      },
    ],
  ])('%s stay as they are', (_, make) => {
    const path = make()
    const before = fs.readdirSync(path, { recursive: true })
    sweepScratchDirectories(parent)
    expect(fs.readdirSync(path, { recursive: true })).toEqual(before)
  })

  it('of this process stay while they are in use', () => {
    const path = makeScratchDirectory(parent)
    const work = WorkDirectory.acquire(path)
    const incarnation = work.createIncarnation('x')
    sweepScratchDirectories(parent)
    expect(fs.existsSync(incarnation)).toBe(true)
    work.release()
    expect(fs.existsSync(join(path, lockName))).toBe(false)
  })

  it('that are links are not followed', () => {
    const target = join(parent, 'target')
    fs.renameSync(plant(lock(deadPid)), target)
    fs.symlinkSync(target, join(parent, 'level-state-backend-AbCdEf'))
    sweepScratchDirectories(parent)
    expect(fs.existsSync(join(target, incarnationName))).toBe(true)
  })

  it('are not missed where there is no directory for them', () => {
    expect(() => sweepScratchDirectories(join(parent, 'missing'))).not.toThrow()
  })
})
