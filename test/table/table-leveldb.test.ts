/** LevelDB itself as the judge: it reads our tables, and we read its tables, entry for entry. */
import { Buffer } from 'node:buffer'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { MAX_SEQUENCE } from '../../src/table/internal-key.js'
import { mergeEntries } from '../../src/table/merging-iterator.js'
import { readManifest, tableFileName } from '../../src/table/manifest.js'
import type { TableEntry } from '../../src/table/table-reader.js'
import {
  adoptTables,
  deletion,
  encodeTable,
  noise,
  numbers,
  put,
  readEntries,
  sortEntries,
  temporaryDirectory,
  withLevel,
  type Level,
} from './fixtures.js'

/** What a database with these entries holds: hex keys to hex values. */
function contentOf(entries: readonly TableEntry[]): Map<string, string> {
  const content = new Map<string, string>()
  let last: Buffer | undefined
  for (const { userKey, type, value } of sortEntries(entries)) {
    if (last?.equals(userKey) !== true && type === 1) {
      content.set(userKey.toString('hex'), value.toString('hex'))
    }
    last = userKey
  }
  return content
}

async function iterate(db: Level): Promise<Map<string, string>> {
  const content = new Map<string, string>()
  for await (const [key, value] of db.iterator()) {
    content.set(key.toString('hex'), value.toString('hex'))
  }
  return content
}

/** Iterator and point reads give exactly the content; keys around the present ones are absent unless they are present. */
async function expectContent(db: Level, content: Map<string, string>): Promise<void> {
  expect([...(await iterate(db))]).toEqual([...content])
  for (const hex of content.keys()) {
    const key = Buffer.from(hex, 'hex')
    expect(db.getSync(key)?.toString('hex')).toBe(content.get(hex))
    const neighbour = Buffer.concat([key, Buffer.from([0])])
    expect(db.getSync(neighbour)?.toString('hex')).toBe(content.get(neighbour.toString('hex')))
  }
}

/** Puts, deletions and overwrites of `keyCount` keys, sequences 1 to `count`. */
function history(count: number, keyCount: number, seed: number): TableEntry[] {
  const next = numbers(seed)
  return Array.from({ length: count }, (_, index) => {
    const key = `key-${String(next() % keyCount).padStart(6, '0')}`
    if (next() % 5 === 0) return deletion(key, index + 1)
    return put(key, index + 1, `value-${index}-`.repeat(1 + (next() % 12)))
  })
}

describe.each(['none', 'snappy'] as const)('a table of ours, compression %s', (compression) => {
  it('is read by LevelDB entry for entry: versions, deletions, missing keys, large and empty ones', async () => {
    const directory = temporaryDirectory()
    const entries = [
      ...history(4000, 900, 1),
      put('', 4001, ''),
      put('z', 4002, noise(2 ** 20, 3)),
      put('z'.repeat(3000), 4003, 'long key'),
      put(Buffer.from([0xff, 0xff, 0xff]), 4004, Buffer.alloc(5000)),
    ]
    adoptTables(directory, [{ level: 3, entries, options: { compression } }])
    await withLevel(directory, async (db) => {
      const content = contentOf(entries)
      await expectContent(db, content)
      let deleted = 0
      for (const { userKey } of entries) {
        if (content.has(userKey.toString('hex'))) continue
        expect(db.getSync(userKey)).toBeUndefined()
        deleted++
      }
      expect(deleted).toBeGreaterThan(0)
    })
  })

  it('is read by LevelDB for every size of block and value around its boundaries', async () => {
    const directory = temporaryDirectory()
    const tables: { level: number; entries: TableEntry[]; options: object }[] = []
    let sequence = 0
    for (const [group, bytes] of [
      0, 1, 127, 128, 1000, 2030, 2048, 4040, 4068, 4096, 8192,
    ].entries()) {
      const entries = Array.from({ length: 34 }, (_, index) =>
        put(
          `${String(group).padStart(3, '0')}/${index}`,
          ++sequence,
          noise(bytes + (index % 3) - Math.min(1, bytes), index),
        ),
      )
      tables.push({
        level: 1,
        entries,
        options: { compression, blockSizeBytes: group % 2 ? 4096 : 700 },
      })
    }
    adoptTables(directory, tables)
    await withLevel(directory, (db) =>
      expectContent(db, contentOf(tables.flatMap(({ entries }) => entries))),
    )
  })
})

describe('several tables of ours', () => {
  it('are one database: levels hide older levels, later level-0 files hide earlier ones', async () => {
    const directory = temporaryDirectory()
    const all = history(6000, 500, 2)
    const tables = [
      { level: 2, entries: all.slice(0, 3000) },
      { level: 1, entries: all.slice(3000, 4000) },
      { level: 0, entries: all.slice(4000, 5000) },
      { level: 0, entries: all.slice(5000) },
    ]
    adoptTables(directory, tables)
    await withLevel(directory, async (db) => {
      await expectContent(db, contentOf(all))
      await db.put(Buffer.from('key-000007'), Buffer.from('written by LevelDB'))
      expect(db.getSync(Buffer.from('key-000007'))?.toString()).toBe('written by LevelDB')
      await db.compactRange(Buffer.from(''), Buffer.from('z'))
      const content = contentOf([...all, put('key-000007', 6001, 'written by LevelDB')])
      await expectContent(db, content)
    })
    await withLevel(directory, async (db) => {
      expect(db.getSync(Buffer.from('key-000007'))?.toString()).toBe('written by LevelDB')
    })
  })

  it('take LevelDB’s largest sequence that is ours too', async () => {
    const directory = temporaryDirectory()
    const entries = [put('a', MAX_SEQUENCE - 1, 'one'), put('b', MAX_SEQUENCE, 'two')]
    adoptTables(directory, [{ level: 0, entries }])
    await withLevel(directory, (db) => expectContent(db, contentOf(entries)))
  })
})

/** Fills a database and leaves it in tables at several levels. */
async function fill(directory: string, compression: boolean): Promise<Map<string, string>> {
  const model = new Map<string, string>()
  const options = { compression, writeBufferSize: 128 * 1024, maxFileSize: 2 ** 20 }
  await withLevel(
    directory,
    async (db) => {
      const next = numbers(compression ? 5 : 6)
      for (let round = 0; round < 12; round++) {
        const batch = db.batch()
        for (let index = 0; index < 400; index++) {
          const key = Buffer.from(`key-${String(next() % 3000).padStart(5, '0')}`)
          if (next() % 6 === 0) {
            batch.del(key)
            model.delete(key.toString('hex'))
          } else {
            const value =
              next() % 2 ? noise(next() % 400, index) : Buffer.alloc(next() % 900, 'abc')
            batch.put(key, value)
            model.set(key.toString('hex'), value.toString('hex'))
          }
        }
        await batch.write()
        if (round === 5) await db.compactRange(Buffer.from(''), Buffer.from('z'))
      }
      // An empty range: flushes what is in memory and compacts nothing.
      await db.compactRange(Buffer.from([0xff]), Buffer.from([0xff]))
    },
    options,
  )
  return new Map([...model].sort(([a], [b]) => (a < b ? -1 : 1)))
}

describe.each([false, true])('a table of LevelDB, compression %s', (compression) => {
  it('is read by us entry for entry', async () => {
    const directory = temporaryDirectory()
    const model = await fill(directory, compression)
    const state = readManifest(directory)
    const levels = new Set(state.files.map((file) => file.level))
    expect(levels.size).toBeGreaterThan(1)

    const tables = state.files.map((file) => {
      const path = join(directory, tableFileName(file.number))
      expect(file.sizeBytes).toBe(statSync(path).size)
      return readEntries(path)
    })
    const content = new Map<string, string>()
    for (const { userKey, type, value } of mergeEntries(tables)) {
      if (type === 1) content.set(userKey.toString('hex'), value.toString('hex'))
    }
    expect([...content]).toEqual([...model])
    for (const [index, file] of state.files.entries()) {
      const { properties } = encodeTable(tables[index] ?? [])
      expect(properties?.smallest).toEqual(file.smallest)
      expect(properties?.largest).toEqual(file.largest)
      expect(properties?.largestSequence).toBeLessThanOrEqual(state.lastSequence)
    }
  })
})

describe('byte identity', () => {
  it('writing the entries of an uncompressed table of LevelDB again gives the very file', async () => {
    const directory = temporaryDirectory()
    await fill(directory, false)
    const { files } = readManifest(directory)
    expect(files.length).toBeGreaterThan(1)
    for (const { number } of files) {
      const path = join(directory, tableFileName(number))
      const { bytes } = encodeTable(readEntries(path))
      expect(bytes.equals(readFileSync(path))).toBe(true)
    }
  })

  it('and so for many small tables of odd shapes', async () => {
    const next = numbers(9)
    for (let round = 0; round < 25; round++) {
      const directory = temporaryDirectory()
      await withLevel(
        directory,
        async (db) => {
          const batch = db.batch()
          const count = 1 + (next() % 60)
          for (let index = 0; index < count; index++) {
            const key = noise(next() % 24, next()).map((byte) => (byte % 3) * 127)
            batch.put(Buffer.from(key), noise([0, 3, 200, 2040, 4090][next() % 5] ?? 0, next()))
          }
          await batch.write()
          await db.compactRange(Buffer.alloc(64, 0xff), Buffer.alloc(64, 0xff))
        },
        { compression: false },
      )
      const { files } = readManifest(directory)
      expect(files.length).toBe(1)
      const path = join(directory, tableFileName(files[0]?.number ?? 0))
      expect(encodeTable(readEntries(path)).bytes.equals(readFileSync(path))).toBe(true)
    }
  })
})
