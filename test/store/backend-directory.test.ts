/** A work directory that cannot be used, through the public interface: one error, and nothing half-done. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { valueState } from '../../src/state/state-descriptor.js'
import { rejection, temporaryDirectory } from '../support/state-task.js'
import { createNumberBackend } from './number-backend.js'

const holder = fileURLToPath(new URL('./work-directory-holder.ts', import.meta.url))

async function expectUsable(directory: string): Promise<void> {
  await using backend = await createNumberBackend(directory)
  backend.setCurrentKey(1)
  backend.getState(valueState<string>('value')).update('fine')
  await backend.drain()
}

describe('a work directory', () => {
  it('that cannot be made or written: DIRECTORY_NOT_WRITABLE', async () => {
    const directory = temporaryDirectory()
    const file = join(directory, 'file')
    writeFileSync(file, 'in the way')
    for (const path of [file, join(file, 'below')]) {
      expect(await rejection(createNumberBackend(path))).toMatchObject({
        code: 'DIRECTORY_NOT_WRITABLE',
        kind: 'unavailable',
      })
    }
    expect(readdirSync(directory)).toEqual(['file'])
  })

  it('with strange files in it: DIRECTORY_NOT_EMPTY, and they stay', async () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'photos'))
    writeFileSync(join(directory, 'photos', 'one.jpg'), 'one')
    expect(await rejection(createNumberBackend(directory))).toMatchObject({
      code: 'DIRECTORY_NOT_EMPTY',
      kind: 'conflict',
      details: { name: 'photos' },
    })
    expect(readdirSync(join(directory, 'photos'))).toEqual(['one.jpg'])
    expect(readdirSync(directory)).toEqual(['photos'])
  })

  it('in use by another process: DIRECTORY_IN_USE, until that process is gone; S5: then its folders are swept', async () => {
    const directory = temporaryDirectory()
    const child = spawn(process.execPath, ['--import', 'tsx', holder, directory], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    onTestFinished(() => {
      child.kill('SIGKILL')
    })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    expect((await lines.next()).value).toBe('ready')
    child.stdin.write('acquire\n')
    expect((await lines.next()).value).toMatch(/^acquired /)
    const held = readdirSync(directory)
    expect(held.some((name) => name.startsWith('inc-child-'))).toBe(true)

    expect(await rejection(createNumberBackend(directory))).toMatchObject({
      code: 'DIRECTORY_IN_USE',
      kind: 'conflict',
    })
    expect(readdirSync(directory)).toEqual(held)

    const ended = once(child, 'close')
    child.kill('SIGKILL')
    await ended
    await using backend = await createNumberBackend(directory)
    expect(backend.needsDrain).toBe(false)
    expect(readdirSync(directory).filter((name) => name.startsWith('inc-'))).toEqual([
      expect.stringMatching(/^inc-operator-/),
    ])
  })

  it('is shared by the backends of one process, and each removes its own folder', async () => {
    const directory = temporaryDirectory()
    const backends = await Promise.all(
      ['a', 'b', 'c'].map((operator) => createNumberBackend(directory, operator)),
    )
    expect(readdirSync(directory).filter((name) => name.startsWith('inc-'))).toHaveLength(3)
    for (const [index, backend] of backends.entries()) {
      await backend.close()
      const left = readdirSync(directory).filter((name) => name.startsWith('inc-'))
      expect(left).toHaveLength(2 - index)
    }
    await expectUsable(directory)
    expect(readdirSync(directory)).toEqual([])
  })

  it('is usable right after a creation that failed', async () => {
    const directory = temporaryDirectory()
    expect(await rejection(createNumberBackend(directory, 'not / an id'))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    expect(readdirSync(directory)).toEqual([])
    await expectUsable(directory)
  })
})
