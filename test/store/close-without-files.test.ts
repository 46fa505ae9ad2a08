/** A backend closed while the process has no file descriptor left for a moment: its directory is given up all the same. */
import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { rejection, temporaryDirectory } from '../support/state-task.js'
import { createNumberBackend } from './number-backend.js'

const files = vi.hoisted(() => ({ refuses: (_call: string, _path: string): boolean => false }))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const refuse = (call: string, path: unknown): void => {
    if (!files.refuses(call, String(path))) return
    throw Object.assign(new Error(`EMFILE: too many open files, '${String(path)}'`), {
      code: 'EMFILE',
    })
  }
  return {
    ...fs,
    readFileSync: (...given: Parameters<typeof fs.readFileSync>) => {
      refuse('read', given[0])
      return fs.readFileSync(...given)
    },
    rmSync: (...given: Parameters<typeof fs.rmSync>) => {
      refuse('remove', given[0])
      fs.rmSync(...given)
    },
  }
})

beforeEach(() => {
  files.refuses = () => false
})

describe('close', () => {
  it.each([
    ['its lock cannot be read', 'read', /\.lock$/],
    ['its folder cannot be removed', 'remove', /^inc-/],
  ])('where %s: STORE_FAILED, and the next backend has the directory', async (_, call, name) => {
    const directory = temporaryDirectory()
    const backend = await createNumberBackend(directory)
    files.refuses = (called, path) => called === call && name.test(basename(path))
    expect(await rejection(backend.close())).toMatchObject({ code: 'STORE_FAILED' })
    files.refuses = () => false

    const next = await createNumberBackend(directory)
    await next.close()
    expect(readdirSync(directory)).toEqual([])
  })
})
