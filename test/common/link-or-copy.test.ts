import {
  mkdtempSync,
  existsSync,
  linkSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { linkOrCopy, linkOrCopyAsync } from '../../src/common/link-or-copy.js'

type LinkOrCopy = (
  from: string,
  to: string,
  link?: (from: string, to: string) => void,
) => 'linked' | 'copied' | Promise<'linked' | 'copied'>

const WAYS: [string, LinkOrCopy][] = [
  ['linkOrCopy', linkOrCopy],
  ['linkOrCopyAsync', linkOrCopyAsync],
]

function refuse(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: link`), { code })
  }
}

describe.each(WAYS)('%s', (_, way) => {
  const run: (...args: Parameters<LinkOrCopy>) => Promise<'linked' | 'copied'> = async (...args) =>
    way(...args)
  let directory: string
  let from: string
  let to: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'link-or-copy-'))
    from = join(directory, 'from')
    to = join(directory, 'to')
    writeFileSync(from, 'the bytes')
  })
  afterEach(() => {
    rmSync(directory, { recursive: true })
  })

  it('makes a hard link where that is possible', async () => {
    expect(await run(from, to)).toBe('linked')
    expect(statSync(to).ino).toBe(statSync(from).ino)
  })

  it.each(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])(
    'copies where a link is refused with %s',
    async (code) => {
      expect(await run(from, to, refuse(code))).toBe('copied')
      expect(readFileSync(to, 'utf8')).toBe('the bytes')
      expect(statSync(to).ino).not.toBe(statSync(from).ino)
    },
  )

  it.each(['EIO', 'EACCES', 'ENOSPC'])('copies nothing after %s', async (code) => {
    await expect(run(from, to, refuse(code))).rejects.toMatchObject({ code })
    expect(existsSync(to)).toBe(false)
  })

  it.each([
    ['a link', linkSync],
    ['a copy', refuse('EPERM')],
  ])('fails by %s as the file system does', async (_name, link) => {
    writeFileSync(to, 'of before')
    await expect(run(from, to, link)).rejects.toMatchObject({ code: 'EEXIST' })
    expect(readFileSync(to, 'utf8')).toBe('of before')
    rmSync(to)
    rmSync(from)
    await expect(run(from, to, link)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(existsSync(to)).toBe(false)
  })
})
