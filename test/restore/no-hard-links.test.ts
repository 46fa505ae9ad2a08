/** A file system without hard links (FAT, some network and user space ones): everything works there, by copies. */
import * as fs from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { WorkDirectory } from '../../src/store/work-directory.js'
import { StateTask, statesOf, temporaryDirectory, throughJSON } from '../support/state-task.js'

/** The links that were refused. */
const refused = vi.hoisted((): string[] => [])

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>()
  const linkSync = (_from: string, to: string): void => {
    refused.push(to)
    throw Object.assign(new Error(`EPERM: operation not permitted, link -> '${to}'`), {
      code: 'EPERM',
    })
  }
  return { ...real, linkSync }
})

beforeEach(() => {
  refused.length = 0
})

const KEYS = 300
const text = (key: number): string => `${key} `.repeat(30)

describe.each(['leveldb', 'hashmap'] as const)('without hard links, %s', (kind) => {
  it.each([
    ['deltas', { smallStateBytes: 2 ** 30 }],
    ['rebases', { smallStateBytes: 0, deltaFractionMax: 0 }],
  ])('checkpoints, restores and rescales, with %s', async (_, policy) => {
    const task = await StateTask.start({ kind, policy })
    await task.put(0, KEYS, text)
    await task.checkpoint()
    await task.put(0, 10, (key) => `late ${key}`)
    const { handle } = await task.checkpoint()
    await task.restore(handle)
    expect(task.values(9, 11)).toEqual(['late 9', text(10)])
    await task.put(10, 20, (key) => `later ${key}`)
    const { handle: next } = await task.checkpoint()
    await task.close()
    const keyGroupRange = KeyGroupRange.of(0, 7)
    await task.open([throughJSON(next)], { keyGroupRange })
    statesOf(task.backend)
    const { handle: half } = await task.checkpoint()
    await task.close()
    await task.open([throughJSON(half)], { keyGroupRange })
    const { value } = task.states
    let found = 0
    for await (const key of task.backend.getKeys('value')) {
      task.backend.setCurrentKey(key)
      const expected = key < 10 ? `late ${key}` : key < 20 ? `later ${key}` : text(key)
      expect(value.value()).toBe(expected)
      found++
    }
    expect(found).toBeGreaterThan(KEYS / 4)
    expect(refused.some((path) => path.includes('restored-'))).toBe(true)
  })
})

describe('without hard links, a work directory', () => {
  it('is locked by a file that says who holds it, and is refused while that process lives', () => {
    const directory = join(fs.realpathSync(temporaryDirectory()), 'work')
    const lock = join(directory, 'level-state-backend.lock')
    const work = WorkDirectory.acquire(directory)
    const text1 = fs.readFileSync(lock, 'utf8')
    expect(JSON.parse(text1)).toMatchObject({ pid: process.pid, hostname: hostname() })
    expect(refused).toEqual([lock])
    work.release()
    expect(fs.readdirSync(directory)).toEqual([])

    const other = { ...(JSON.parse(text1) as object), id: '00000000-0000-4000-8000-000000000001' }
    fs.writeFileSync(lock, JSON.stringify(other))
    expect(() => WorkDirectory.acquire(directory)).toThrow(
      expect.objectContaining({ code: 'DIRECTORY_IN_USE' }),
    )
    expect(fs.readFileSync(lock, 'utf8')).toBe(JSON.stringify(other))
  })

  it.runIf(process.platform === 'linux')('is taken over from a dead process', () => {
    const directory = fs.realpathSync(temporaryDirectory())
    const id = '00000000-0000-4000-8000-000000000001'
    const dead = { pid: process.pid, processStartTime: 'another boot/1', hostname: hostname(), id }
    fs.writeFileSync(join(directory, 'level-state-backend.lock'), JSON.stringify(dead))
    WorkDirectory.acquire(directory).release()
    expect(fs.readdirSync(directory)).toEqual([])
  })
})
