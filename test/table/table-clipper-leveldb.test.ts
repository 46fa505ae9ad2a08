/** LevelDB itself as the judge of clips. */
import { Buffer } from 'node:buffer'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readManifest, tableFileName, writeManifest } from '../../src/table/manifest.js'
import { clipTable, type ClippedTable, type ClipRange } from '../../src/table/table-clipper.js'
import type { ManifestFile } from '../../src/table/version-edit.js'
import { unhurried, clip, rangeOf, key, numbered } from './clip-fixtures.js'
import {
  deletion,
  encodeTable,
  noise,
  numbers,
  put,
  sortEntries,
  temporaryDirectory,
  withLevel,
} from './fixtures.js'

/** Ranges that follow each other and leave nothing out, some of them empty, cut at, behind and between the keys. */
function partition(keys: readonly Buffer[], parts: number, seed: number): ClipRange[] {
  const next = numbers(seed)
  const cuts = Array.from({ length: parts - 1 }, () => {
    const cut = keys[next() % keys.length] ?? Buffer.alloc(0)
    return next() % 2 ? cut : Buffer.concat([cut, Buffer.from([0])])
  }).sort((a, b) => Buffer.compare(a, b))
  return [undefined, ...cuts].map((gte, index) => rangeOf(gte, cuts[index]))
}

/** A clip to the range, by way of a clip to the range with its neighbours. */
async function clipTwice(
  source: string,
  target: string,
  allRanges: readonly ClipRange[],
  part: number,
): Promise<ClippedTable | undefined> {
  const { gte } = allRanges[part - 1] ?? {}
  const { lt } = allRanges[part + 1] ?? {}
  const wider = { ...(gte === undefined ? {} : { gte }), ...(lt === undefined ? {} : { lt }) }
  const between = `${target}.wider`
  const found = await clip(source, between, wider)
  return found === undefined ? undefined : await clip(between, target, allRanges[part] ?? {})
}

describe.each([false, true])('LevelDB, compression %s', (compression) => {
  it('reads the clips of its own tables, side by side in one level, as it read the tables', async () => {
    const original = temporaryDirectory()
    const model = new Map<string, Buffer>()
    await withLevel(
      original,
      async (db) => {
        const next = numbers(compression ? 3 : 4)
        for (let round = 0; round < 8; round++) {
          const batch = db.batch()
          for (let index = 0; index < 500; index++) {
            const userKey = key(next() % 2500)
            if (next() % 6 === 0) {
              batch.del(userKey)
              model.delete(userKey.toString())
            } else {
              const value =
                next() % 2 ? noise(next() % 300, index) : Buffer.alloc(next() % 900, 'ab')
              batch.put(userKey, value)
              model.set(userKey.toString(), value)
            }
          }
          await batch.write()
        }
        await db.compactRange(Buffer.from(''), Buffer.from('z'))
      },
      { compression, writeBufferSize: 128 * 1024, maxFileSize: 2 ** 20 },
    )
    const state = readManifest(original)
    const keys = [...model.keys()].sort()
    const adopted = temporaryDirectory()
    const scratch = temporaryDirectory()
    const files: ManifestFile[] = []
    for (const { level, number: sourceNumber } of state.files) {
      const source = join(original, tableFileName(sourceNumber))
      const allRanges = partition(
        keys.map((text) => Buffer.from(text)),
        9,
        sourceNumber,
      )
      for (const part of allRanges.keys()) {
        const table = await clipTwice(source, join(scratch, 'clip'), allRanges, part)
        if (table === undefined) continue
        const { path, sizeBytes, smallest, largest } = table
        const number = files.length + 1
        renameSync(path, join(adopted, tableFileName(number)))
        files.push({ level, number, sizeBytes, smallest, largest })
      }
    }
    expect(files.length).toBeGreaterThan(5)
    writeManifest(adopted, { lastSequence: state.lastSequence, files })
    await withLevel(adopted, async (db) => {
      const found: string[] = []
      for await (const [userKey, value] of db.iterator()) {
        found.push(userKey.toString())
        expect(value.equals(model.get(userKey.toString()) ?? Buffer.from('none'))).toBe(true)
      }
      expect(found).toEqual(keys)
      for (let index = 0; index < 2500; index++) {
        const value = model.get(key(index).toString())
        expect(db.getSync(key(index))?.toString('hex')).toBe(value?.toString('hex'))
        expect(db.getSync(Buffer.concat([key(index), Buffer.from('x')]))).toBeUndefined()
      }
    })
  })
})

it('LevelDB finds every key of nested clips by getSync, and no key that was cut off', async () => {
  const entries = sortEntries([
    ...numbered(900, 60),
    ...numbered(900, 10).map(({ userKey, sequence }) => put(userKey, sequence + 2000, 'newer')),
    ...numbered(900, 0)
      .filter(({ sequence }) => sequence % 4 === 0)
      .map(({ userKey, sequence }) => deletion(userKey, sequence + 4000)),
  ])
  for (const blockSizeBytes of [150, 4096]) {
    const directory = temporaryDirectory()
    let path = join(directory, 'source.ldb')
    writeFileSync(path, encodeTable(entries, { blockSizeBytes }).bytes)
    for (const [low, high] of [
      [3, 880],
      [40, 800],
      [41, 640],
      [200, 639],
    ] as const) {
      const database = temporaryDirectory()
      const target = join(database, tableFileName(1))
      const table = await clipTable(path, target, { gte: key(low), lt: key(high) }, unhurried)
      if (table === undefined) throw new Error('something is left of it')
      const { sizeBytes, smallest, largest } = table
      path = join(directory, `${low}.ldb`)
      writeFileSync(path, readFileSync(target))
      const files = [{ level: 2, number: 1, sizeBytes, smallest, largest }]
      writeManifest(database, { lastSequence: 5000, files })
      await withLevel(database, async (db) => {
        for (let index = 0; index < 900; index++) {
          const isThere = index >= low && index < high && (index + 1) % 4 !== 0
          expect(db.getSync(key(index))?.toString()).toBe(isThere ? 'newer' : undefined)
        }
      })
    }
  }
})
