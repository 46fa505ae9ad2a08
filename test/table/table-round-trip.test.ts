import { Buffer } from 'node:buffer'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_SEQUENCE } from '../../src/table/internal-key.js'
import type { TableEntry } from '../../src/table/table-reader.js'
import { TableWriter } from '../../src/table/table-writer.js'
import {
  deletion,
  encodeTable,
  expectEntries,
  expectEntry,
  noise,
  put,
  readEntries,
  sortEntries,
  temporaryDirectory,
  withTable,
} from './fixtures.js'

const userKeys = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.constantFrom('', 'a', 'aa', 'ab', 'prefix/one', 'prefix/two', '\u00ff'),
)
const values = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.constantFrom(0, 1, 127, 128, 2040, 4096, 5000).map((bytes) => noise(bytes, bytes)),
)
const tables = fc
  .uniqueArray(
    fc.record({
      userKey: userKeys,
      sequence: fc.oneof(fc.nat(50), fc.constantFrom(2 ** 32, MAX_SEQUENCE)),
      value: fc.option(values),
    }),
    { selector: ({ userKey, sequence }) => `${sequence}/${userKey}`, minLength: 1, maxLength: 80 },
  )
  .map((drafts) =>
    sortEntries(
      drafts.map(({ userKey, sequence, value }) =>
        value === null ? deletion(userKey, sequence) : put(userKey, sequence, Buffer.from(value)),
      ),
    ),
  )
const options = fc.record({
  compression: fc.constantFrom('none' as const, 'snappy' as const),
  blockSizeBytes: fc.constantFrom(1, 64, 500, 4096),
})

function temporaryTable(): string {
  return join(temporaryDirectory(), '000001.ldb')
}

/** Distinct user keys in order, one write each. */
function numbered(count: number, value: (index: number) => Buffer): TableEntry[] {
  return Array.from({ length: count }, (_, index) =>
    put(`key-${String(index).padStart(8, '0')}`, index + 1, value(index)),
  )
}

function expectRoundTrip(entries: readonly TableEntry[], path = temporaryTable()): void {
  for (const compression of ['none', 'snappy'] as const) {
    const { bytes, properties } = encodeTable(entries, { compression })
    writeFileSync(path, bytes)
    expectEntries(readEntries(path), entries)
    expect(properties?.sizeBytes).toBe(bytes.length)
    expect(properties?.entryCount).toBe(entries.length)
    withTable(path, (table) => {
      for (const entry of entries) expect(table.mayContain(entry.userKey)).toBe(true)
    })
  }
}

describe('a table that was written', () => {
  it('E1: is read entry for entry, whole, in every range and by key', () => {
    const path = temporaryTable()
    const bound = fc.option(userKeys, { nil: undefined })
    fc.assert(
      fc.property(tables, options, bound, bound, (entries, writerOptions, gte, lt) => {
        writeFileSync(path, encodeTable(entries, writerOptions).bytes)
        withTable(path, (table) => {
          expectEntries([...table.entries()], entries)
          const range = {
            ...(gte === undefined ? {} : { gte: Buffer.from(gte) }),
            ...(lt === undefined ? {} : { lt: Buffer.from(lt) }),
          }
          const inRange = entries.filter(
            ({ userKey }) =>
              (gte === undefined || Buffer.compare(userKey, Buffer.from(gte)) >= 0) &&
              (lt === undefined || Buffer.compare(userKey, Buffer.from(lt)) < 0),
          )
          expectEntries([...table.entries(range)], inRange)
          for (const userKey of [gte ?? '', lt ?? '~', ...entries.map((entry) => entry.userKey)]) {
            const key = Buffer.from(userKey)
            const newest = entries.find((entry) => entry.userKey.equals(key))
            expectEntry(table.get(key), newest)
            if (newest !== undefined) expect(table.mayContain(key)).toBe(true)
          }
        })
      }),
      { numRuns: 300 },
    )
  })

  it('reports its bounds, count, size and sequences', () => {
    fc.assert(
      fc.property(tables, options, (entries, writerOptions) => {
        const { bytes, properties } = encodeTable(entries, writerOptions)
        const sequences = entries.map((entry) => entry.sequence)
        expect(properties).toMatchObject({
          sizeBytes: bytes.length,
          entryCount: entries.length,
          smallestSequence: Math.min(...sequences),
          largestSequence: Math.max(...sequences),
        })
        expect(properties?.smallest.subarray(0, -8)).toEqual(entries[0]?.userKey)
        expect(properties?.largest.subarray(0, -8)).toEqual(entries.at(-1)?.userKey)
      }),
    )
  })

  it('survives every entry count around the restart interval and its multiples', () => {
    for (const count of [1, 2, 15, 16, 17, 31, 32, 33, 48, 49]) {
      expectRoundTrip(numbered(count, (index) => Buffer.from(String(index))))
    }
  })

  it('survives values that fill a block of 4096 bytes to the last bytes', () => {
    const path = temporaryTable()
    for (let bytes = 4050; bytes <= 4100; bytes++) {
      expectRoundTrip(
        numbered(3, (index) => noise(bytes, index)),
        path,
      )
    }
  })

  it('survives blocks that start around every multiple of the 2048-byte filter window', () => {
    const path = temporaryTable()
    for (const multiple of [2, 3, 4]) {
      for (let bytes = multiple * 2048 - 60; bytes <= multiple * 2048 + 4; bytes += 2) {
        expectRoundTrip(
          numbered(4, (index) => noise(bytes, index)),
          path,
        )
      }
    }
  })

  it('survives an empty key, an empty value, long keys and a value of a megabyte', () => {
    expectRoundTrip([
      put('', 9, ''),
      deletion('', 3),
      put('a', 1, noise(2 ** 20, 1)),
      put('b'.repeat(100_000), 5, 'x'),
      deletion(`${'b'.repeat(100_000)}c`, 6),
      put('c', 2, ''),
    ])
  })

  it('survives thousands of versions of one key, over many blocks, newest first', () => {
    const versions = Array.from({ length: 3000 }, (_, index) =>
      index % 3 === 0 ? deletion('k', 3000 - index) : put('k', 3000 - index, `v${index}`),
    )
    const entries = [put('j', 1, 'before'), ...versions, put('l', 1, 'after')]
    expectRoundTrip(entries)
    const path = temporaryTable()
    writeFileSync(path, encodeTable(entries).bytes)
    withTable(path, (table) => {
      expect(table.get(Buffer.from('k'))).toEqual(entries[1])
      expect(table.get(Buffer.from('l'))).toEqual(entries.at(-1))
      expect(table.get(Buffer.from('kk'))).toBeUndefined()
    })
  })

  it('E2: leaves entries valid while reading goes on and after close', () => {
    const path = temporaryTable()
    const entries = numbered(2000, (index) => Buffer.from(`value ${index}`))
    writeFileSync(path, encodeTable(entries, { compression: 'snappy' }).bytes)
    const read = readEntries(path)
    withTable(path, (table) => [...table.entries()])
    expectEntries(read, entries)
  })

  it('rules out most absent keys by its filter', () => {
    const path = temporaryTable()
    writeFileSync(path, encodeTable(numbered(5000, () => Buffer.from('v'))).bytes)
    withTable(path, (table) => {
      let passed = 0
      for (let index = 0; index < 5000; index++) {
        if (table.mayContain(Buffer.from(`key-${String(index).padStart(8, '0')}x`))) passed++
      }
      expect(passed).toBeLessThan(150)
      expect(table.mayContain(Buffer.from('z'))).toBe(false)
    })
  })
})

describe('TableWriter', () => {
  it('writes nothing when nothing was added', () => {
    expect(encodeTable([])).toEqual({ bytes: Buffer.alloc(0), properties: undefined })
  })

  it('counts the bytes it has handed over, whose memory is the sink’s', () => {
    const chunks: Buffer[] = []
    const copies: Buffer[] = []
    const writer = new TableWriter((chunk) => {
      chunks.push(chunk)
      copies.push(Buffer.from(chunk))
    })
    for (const { userKey, sequence, type, value } of numbered(2000, () => Buffer.from('value'))) {
      writer.add(userKey, sequence, type, value)
      expect(writer.writtenBytes).toBe(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
    }
    expect(writer.finish()?.sizeBytes).toBe(writer.writtenBytes)
    expect(chunks).toEqual(copies)
  })

  it('W1: refuses entries out of order, a sequence that is no integer, a deletion with a value', () => {
    const bug = expect.objectContaining({ code: 'INVARIANT_BROKEN' })
    const value = Buffer.alloc(0)
    const after = (userKey: string, sequence: number) => () => {
      const writer = new TableWriter(() => undefined)
      writer.add(Buffer.from('bb'), 5, 1, value)
      writer.add(Buffer.from(userKey), sequence, 1, value)
    }
    for (const [userKey, sequence] of [
      ['bb', 5],
      ['bb', 6],
      ['b', 1],
      ['ba', 1],
      ['', 1],
      ['bc', -1],
      ['bc', 0.5],
      ['bc', 2 ** 53],
    ] as const) {
      expect(after(userKey, sequence), `${userKey} ${sequence}`).toThrow(bug)
    }
    for (const [userKey, sequence] of [
      ['bb', 4],
      ['bba', 9],
      ['bc', 9],
      ['c', 0],
    ] as const) {
      expect(after(userKey, sequence), `${userKey} ${sequence}`).not.toThrow()
    }
    expect(() =>
      new TableWriter(() => undefined).add(Buffer.from('a'), 1, 0, Buffer.from('v')),
    ).toThrow(bug)
  })
})
