/** A disk that has no room for one more folder: each that a backend makes of its own, in turn. */
import { basename } from 'node:path'
import { readdirSync } from 'node:fs'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { rejection, StateTask, statesOf } from '../support/state-task.js'

const disk = vi.hoisted(() => ({ full: (_path: string): boolean => false }))

function refuse(path: string): void {
  if (!disk.full(path)) return
  throw Object.assign(new Error(`ENOSPC: no space left on device, mkdir '${path}'`), {
    code: 'ENOSPC',
  })
}

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const mkdirSync = (path: string, options?: { recursive?: boolean }): string | undefined => {
    refuse(path)
    return fs.mkdirSync(path, options)
  }
  return { ...fs, mkdirSync }
})

vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>()
  const mkdir = async (path: string): Promise<void> => {
    refuse(path)
    await fs.mkdir(path)
  }
  return { ...fs, mkdir }
})

beforeEach(() => {
  disk.full = () => false
})

describe('a folder that the disk has no room for', () => {
  it.each([
    ['leveldb', 'db'],
    ['leveldb', 'tables'],
    ['hashmap', 'db'],
    ['hashmap', 'tables'],
  ] as const)('%s, %s: no backend, DISK_FULL, and nothing is left', async (kind, name) => {
    const task = await StateTask.start({ kind, localRecovery: true })
    await task.close()
    disk.full = (path) => basename(path) === name
    expect(await rejection(task.open([]))).toMatchObject({ code: 'DISK_FULL', kind: 'unavailable' })
    expect(readdirSync(task.directory)).toEqual([])
  })

  it('the one of base tables kept for local recovery: they are not kept, that is all (B2)', async () => {
    disk.full = (path) => basename(path) === 'base'
    const task = await StateTask.start({ localRecovery: true, policy: { smallStateBytes: 0 } })
    await task.put(0, 10, (key) => `value ${key}`)
    const { handle } = await task.checkpoint(CheckpointOptions.fullCheckpoint())
    await task.restore(handle)
    expect(task.values(0, 2)).toEqual(['value 0', 'value 1'])
  })

  it.each(['leveldb', 'hashmap'] as const)(
    '%s, the one of captured tables: the checkpoint fails, the next one has its state',
    async (kind) => {
      const task = await StateTask.start({ kind })
      statesOf(task.backend)
      await task.put(0, 10, (key) => `value ${key}`)
      disk.full = (path) => basename(path).startsWith('capture-')
      const full = CheckpointOptions.fullCheckpoint()
      expect(await rejection(task.snapshot(full))).toMatchObject({ code: 'DISK_FULL' })
      disk.full = () => false
      const { handle } = await task.checkpoint(full)
      await task.restore(handle)
      expect(task.values(0, 2)).toEqual(['value 0', 'value 1'])
    },
  )
})
