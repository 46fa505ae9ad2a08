import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { LeftoverTables, type TableContents } from '../../src/store/leftover-tables.js'
import { encodeInternalKey } from '../../src/table/internal-key.js'
import { tableFileName, writeManifest, type ManifestFile } from '../../src/table/manifest.js'
import { temporaryDirectory } from '../support/state-task.js'

/** Paths that were opened, in order. */
const opened = vi.hoisted((): string[] => [])

vi.mock('node:fs/promises', async (original) => {
  const promises = await original<typeof import('node:fs/promises')>()
  const open: typeof promises.open = (path, ...rest) => {
    opened.push(String(path))
    return promises.open(path, ...rest)
  }
  return { ...promises, open }
})

const KILOBYTES_300 = 'x'.repeat(300 * 1024)

const keyAt = (sequence: number): Buffer => encodeInternalKey(Buffer.from('key'), sequence, 1)

/** The bounds matter only where a MANIFEST names the file. */
function contentsOf(text: string, sequence = 1): TableContents {
  const sha256 = createHash('sha256').update(text).digest('hex')
  const bound = keyAt(sequence)
  return { sizeBytes: text.length, sha256, smallest: bound, largest: bound }
}

let folder: string
let target: string
beforeEach(() => {
  const directory = temporaryDirectory()
  folder = join(directory, 'left')
  target = join(directory, 'target.ldb')
  for (const name of ['db', 'tables']) fs.mkdirSync(join(folder, name), { recursive: true })
  opened.length = 0
})

function plant(name: string, text: string): string {
  const path = join(folder, name)
  fs.writeFileSync(path, text)
  return path
}

/** A target of its own for each of many. */
const another = (index: number): string => `${target}.${index}`

describe('LeftoverTables', () => {
  it.each(['db/000005.ldb', 'tables/delta-000001.ldb'])(
    'links %s by its contents',
    async (name) => {
      const path = plant(name, KILOBYTES_300)
      const leftovers = new LeftoverTables([join(folder, '..', 'missing'), folder])
      expect(await leftovers.link(contentsOf(KILOBYTES_300), target)).toBe(true)
      expect(fs.statSync(target).ino).toBe(fs.statSync(path).ino)
    },
  )

  it('links one file for any number of tables, and reads it once', async () => {
    plant('db/000005.ldb', 'table')
    fs.linkSync(join(folder, 'db/000005.ldb'), join(folder, 'tables/restored-000005.ldb'))
    const leftovers = new LeftoverTables([folder])
    for (let index = 0; index < 3; index++) {
      expect(await leftovers.link(contentsOf('table'), another(index))).toBe(true)
    }
    expect(opened).toHaveLength(1)
  })

  it('reads no file twice, and none of another size, among many that are asked for at once', async () => {
    const texts = Array.from(
      { length: 40 },
      (_, index) => `table ${String(index).padStart(3, '0')}`,
    )
    for (const [index, text] of texts.entries()) plant(`db/${index}.ldb`, text)
    plant('db/other.ldb', 'of another size')
    const leftovers = new LeftoverTables([folder])
    const wanted = [...texts.map(contentsOf), contentsOf('not there')]
    const linked = await Promise.all(
      wanted.map((contents, index) => leftovers.link(contents, another(index))),
    )
    expect(linked).toEqual([...texts.map(() => true), false])
    for (const [index, text] of texts.entries()) {
      expect(fs.readFileSync(another(index), 'utf8')).toBe(text)
    }
    expect(opened.toSorted()).toEqual(
      texts.map((_, index) => join(folder, `db/${index}.ldb`)).toSorted(),
    )
  })

  it('reads only the one table with the right keys, where the MANIFEST of a database tells them', async () => {
    const numbers = Array.from({ length: 40 }, (_, index) => 10 + index)
    const files = numbers.map((number): ManifestFile => {
      plant(join('db', tableFileName(number)), `table ${number}`)
      const bound = keyAt(number)
      return { level: 0, number, sizeBytes: 8, smallest: bound, largest: bound }
    })
    writeManifest(join(folder, 'db'), { lastSequence: 100, files })
    const leftovers = new LeftoverTables([folder])
    expect(await leftovers.link(contentsOf('table 17', 17), another(1))).toBe(true)
    expect(await leftovers.link(contentsOf('table 30', 30), another(2))).toBe(true)
    expect(await leftovers.link(contentsOf('table 60', 60), another(3))).toBe(false)
    expect(opened).toEqual([17, 30].map((number) => join(folder, 'db', tableFileName(number))))
  })

  it('does without a MANIFEST that did not survive', async () => {
    const bound = keyAt(5)
    const file = { level: 0, number: 5, sizeBytes: 7, smallest: bound, largest: bound }
    plant('db/000005.ldb', 'table 5')
    writeManifest(join(folder, 'db'), { lastSequence: 100, files: [file] })
    const name = fs.readdirSync(join(folder, 'db')).find((entry) => entry.startsWith('MANIFEST'))
    fs.writeFileSync(join(folder, 'db', name ?? ''), Buffer.alloc(500, 7))
    expect(await new LeftoverTables([folder]).link(contentsOf('table 5', 5), target)).toBe(true)
  })

  it('looks at no more files than its limit', async () => {
    for (let index = 0; index < 10; index++) plant(`db/${index}.ldb`, `table ${index}`)
    plant('tables/delta.ldb', 'table x')
    const leftovers = new LeftoverTables([folder], 10)
    expect(await leftovers.link(contentsOf('table x'), target)).toBe(false)
    expect(await new LeftoverTables([folder], 11).link(contentsOf('table x'), target)).toBe(true)
  })

  it.each(['db/000005.log', 'db/CURRENT', 'LOG.ldb', 'other/000005.ldb'])(
    'takes %s for no table',
    async (name) => {
      fs.mkdirSync(join(folder, 'other'))
      plant(name, 'table')
      expect(await new LeftoverTables([folder]).link(contentsOf('table'), target)).toBe(false)
      expect(fs.existsSync(target)).toBe(false)
    },
  )

  it('T1: links nothing whose bytes are not the ones that are wanted', async () => {
    plant('db/000005.ldb', 'tablE')
    plant('db/000006.ldb', 'table, and more')
    plant('db/000007.ldb', 'tabl')
    expect(await new LeftoverTables([folder]).link(contentsOf('table'), target)).toBe(false)
    expect(fs.existsSync(target)).toBe(false)
  })

  it('T2: what was changed, cut or removed after it was seen counts as not there', async () => {
    const changed = plant('db/000005.ldb', 'table 5')
    const cut = plant('db/000006.ldb', 'table 6')
    const removed = plant('db/000007.ldb', 'table 7')
    plant('db/000008.ldb', 'table 8')
    const leftovers = new LeftoverTables([folder])
    expect(await leftovers.link(contentsOf('unseen'), target)).toBe(false)
    fs.appendFileSync(changed, '!')
    fs.truncateSync(cut, 3)
    fs.rmSync(removed)
    for (const number of [5, 6, 7]) {
      expect(await leftovers.link(contentsOf(`table ${number}`), target)).toBe(false)
    }
    expect(await leftovers.link(contentsOf('table 8'), target)).toBe(true)
  })

  it('T2: a file that cannot be linked any more counts as not there', async () => {
    const path = plant('db/000005.ldb', 'table')
    const leftovers = new LeftoverTables([folder])
    expect(await leftovers.link(contentsOf('table'), another(1))).toBe(true)
    fs.rmSync(path)
    expect(await leftovers.link(contentsOf('table'), another(2))).toBe(false)
    expect(fs.existsSync(another(2))).toBe(false)
  })

  it('rejects after an abort, and loses nothing by it', async () => {
    plant('db/000005.ldb', KILOBYTES_300)
    const leftovers = new LeftoverTables([folder])
    const abortion = new AbortController()
    const aborted = leftovers.link(contentsOf(KILOBYTES_300), target, abortion.signal)
    const waiting = leftovers.link(contentsOf(KILOBYTES_300), another(1))
    abortion.abort()
    await expect(aborted).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(await waiting).toBe(true)
    expect(fs.existsSync(target)).toBe(false)
  })

  it('sweeps its folders, once, and has nothing afterwards', async () => {
    plant('db/000005.ldb', 'table')
    const leftovers = new LeftoverTables([folder])
    expect(await leftovers.link(contentsOf('table'), another(1))).toBe(true)
    expect(leftovers.folders).toEqual([folder])
    const swept = leftovers.sweep()
    expect(leftovers.folders).toEqual([])
    leftovers.sweepSync()
    expect(fs.existsSync(folder)).toBe(false)
    await swept
    expect(await leftovers.link(contentsOf('table'), another(2))).toBe(false)
    expect(fs.readFileSync(another(1), 'utf8')).toBe('table')
  })
})
