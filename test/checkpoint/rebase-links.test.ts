/** A rebase links LevelDB's own tables while compactions remove them: it starts again, copies, or gives up in good order. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { rejection, StateTask } from '../support/state-task.js'

/** How many of the next links out of the database fail, and with which error; and what happens at each that does not. */
const links = vi.hoisted(() => ({
  failing: 0,
  code: 'ENOENT',
  failed: 0,
  onLink: undefined as (() => void) | undefined,
}))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const linkSync = (from: string, to: string): void => {
    if (to.includes('/capture-') && links.failing > 0) {
      links.failing--
      links.failed++
      throw Object.assign(new Error(`${links.code}: link '${from}'`), { code: links.code })
    }
    if (to.includes('/capture-')) links.onLink?.()
    fs.linkSync(from, to)
  }
  return { ...fs, linkSync }
})

const REBASE = { smallStateBytes: 0, deltaFractionMax: 0, deltaCountMax: 3 }
const KEYS = 1000
const ROUNDS_MAX = 100
const text = (round: number) => (key: number) => `${round} of ${key} `.repeat(100)

/** A task whose next checkpoint is a rebase, with tables to link. */
async function start(): Promise<StateTask> {
  const task = await StateTask.start({ policy: REBASE })
  let tables = 0
  // LevelDB flushes its memtable when it gets to it.
  for (let round = 0; round < 3 || (tables === 0 && round < ROUNDS_MAX); round++) {
    await task.put(0, KEYS, text(Math.min(round, 2)))
    const { handle } = await task.checkpoint()
    tables = handle.sharedState.filter(({ role }) => role === 'base').length
  }
  expect(tables).toBeGreaterThan(0)
  await task.put(0, 10, text(9))
  links.failed = 0
  links.code = 'ENOENT'
  return task
}

async function expectState(task: StateTask): Promise<void> {
  expect(task.values(9, 11)).toEqual([text(9)(9), text(2)(10)])
}

describe('a rebase whose links fail', () => {
  it('starts again, up to fifteen times', async () => {
    const task = await start()
    links.failing = 15
    const { kind, handle } = await task.checkpoint()
    expect(kind).toBe('rebase')
    expect(links.failed).toBe(15)
    await task.restore(handle)
    await expectState(task)
  })

  it('falls back to a delta, and bounds the count of deltas all the same', async () => {
    const task = await start()
    links.failing = Infinity
    for (let round = 0; round < 8; round++) {
      await task.put(0, 10, text(9))
      const { kind, handle } = await task.checkpoint()
      expect(['delta', 'merge']).toContain(kind)
      const deltas = handle.sharedState.filter(({ role }) => role === 'delta')
      expect(deltas.length).toBeLessThanOrEqual(REBASE.deltaCountMax)
    }
    links.failing = 0
    expect(links.failed).toBe(8 * 16)
    const { handle } = await task.checkpoint()
    await task.restore(handle)
    await expectState(task)
  })

  it('leaves no folder, and a savepoint that cannot be had is CHECKPOINT_FAILED', async () => {
    const task = await start()
    const before = task.localTables()
    links.failing = Infinity
    const error = await rejection(task.snapshot(CheckpointOptions.savepoint()))
    links.failing = 0
    expect(error).toMatchObject({ code: 'CHECKPOINT_FAILED', kind: 'unavailable' })
    const made = task.localTables().filter((name) => !before.includes(name))
    expect(made.filter((name) => name.startsWith('capture-'))).toEqual([])
    const { handle } = await task.checkpoint()
    await task.restore(handle)
    await expectState(task)
  })

  it.each([
    ['ENOSPC', 'DISK_FULL'],
    ['EIO', 'STORE_FAILED'],
  ])('%s is %s for the snapshot alone', async (code, expected) => {
    const task = await start()
    Object.assign(links, { failing: 1, code })
    expect(await rejection(task.snapshot())).toMatchObject({ code: expected })
    const { handle } = await task.checkpoint()
    await task.restore(handle)
    await expectState(task)
  })

  it.each(['ENOTSUP', 'EPERM', 'EMLINK'])('%s: copies the tables, whole', async (code) => {
    const task = await start()
    Object.assign(links, { failing: Infinity, code })
    let copies = 0
    task.objects.plan = () => {
      for (const { path, name } of capturedTables(task)) {
        expect(statSync(path).nlink).toBe(1)
        const original = join(task.incarnation, 'db', name)
        // A compaction may have removed it since.
        if (readdirSync(join(task.incarnation, 'db')).includes(name)) {
          expect(readFileSync(path).equals(readFileSync(original))).toBe(true)
          copies++
        }
      }
      return undefined
    }
    const { kind, handle } = await task.checkpoint(CheckpointOptions.fullCheckpoint())
    task.objects.heal()
    links.failing = 0
    expect(kind).toBe('rebase')
    expect(copies).toBeGreaterThan(0)
    expect(capturedTables(task)).toEqual([])
    await task.restore(handle)
    await expectState(task)
  })
})

/** What a running rebase holds. */
function capturedTables(task: StateTask): { path: string; name: string }[] {
  const tables = join(task.incarnation, 'tables')
  return readdirSync(tables)
    .filter((folder) => folder.startsWith('capture-'))
    .flatMap((folder) => readdirSync(join(tables, folder)).map((name) => ({ folder, name })))
    .map(({ folder, name }) => ({ path: join(tables, folder, name), name }))
}

describe('a rebase whose backend is closed as soon as its tables are linked', () => {
  it('releases them before it rejects', async () => {
    const task = await start()
    let closing: Promise<void> | undefined
    let linked = 0
    links.onLink = () => {
      closing ??= task.backend.close()
      linked++
    }
    const left = task.snapshot().catch((error: unknown) => ({
      error,
      tables: capturedTables(task),
    }))
    expect(await left).toMatchObject({ error: { code: 'BACKEND_CLOSED' }, tables: [] })
    links.onLink = undefined
    expect(linked).toBeGreaterThan(0)
    await closing
  })
})
