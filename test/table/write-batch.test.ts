/** What LevelDB writes to its live log is what we read from it. */
import { Buffer } from 'node:buffer'
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodeLogRecords, readLogRecords } from '../../src/table/log-format.js'
import { logFileName, readManifest } from '../../src/table/manifest.js'
import type { TableEntry } from '../../src/table/table-reader.js'
import { firstBatchHeader, readWriteBatch } from '../../src/table/write-batch.js'
import {
  deletion,
  expectDamage,
  expectEntries,
  noise,
  put,
  temporaryDirectory,
  withLevel,
} from './fixtures.js'

function entriesOf(log: Buffer): TableEntry[] {
  const { records } = readLogRecords(log, 'log', { tolerateTornTail: false })
  return records.flatMap((record) => {
    const { sequence, operations } = readWriteBatch(record)
    return [...operations()].map(({ type, key, value }, index) => ({
      userKey: key,
      sequence: sequence + index,
      type,
      value,
    }))
  })
}

describe('the live log of LevelDB', () => {
  it('is read operation for operation: batches, single writes, large and empty ones', async () => {
    const directory = temporaryDirectory()
    await withLevel(directory, async (db) => {
      const path = join(directory, logFileName(readManifest(directory).logNumber))
      expect(firstBatchHeader(path)).toBeUndefined()
      const batch = db.batch()
      for (let index = 0; index < 500; index++)
        batch.put(Buffer.from(`key-${index}`), Buffer.from(`value-${index}`))
      await batch.write()
      expect(firstBatchHeader(path)).toEqual({ sequence: 1, count: 500 })
      await db.del(Buffer.from('key-7'))
      await db.put(Buffer.from(''), Buffer.from(''))
      await db.put(Buffer.from('large'), noise(200_000, 1))
      expect(firstBatchHeader(path)).toEqual({ sequence: 1, count: 500 })
      expectEntries(entriesOf(readFileSync(path)), [
        ...Array.from({ length: 500 }, (_, index) =>
          put(`key-${index}`, index + 1, `value-${index}`),
        ),
        deletion('key-7', 501),
        put('', 502, ''),
        put('large', 503, noise(200_000, 1)),
      ])
    })
  })

  it('has a first batch that is announced once it is whole, however many blocks it spans', async () => {
    const directory = temporaryDirectory()
    const value = noise(100_000, 2)
    await withLevel(directory, async (db) => {
      await db.put(Buffer.from('before'), Buffer.from('x'))
      await db.compactRange(Buffer.from([0xff]), Buffer.from([0xff]))
      await db.batch([
        { type: 'put', key: Buffer.from('large'), value },
        { type: 'del', key: Buffer.from('before') },
      ])
      const path = join(directory, logFileName(readManifest(directory).logNumber))
      const log = readFileSync(path)
      const copy = join(directory, 'copy')
      writeFileSync(copy, log)
      expect(firstBatchHeader(copy)).toEqual({ sequence: 2, count: 2 })
      for (let length = log.length - 1; length >= 0; length -= length < 40 ? 1 : 4099) {
        truncateSync(copy, length)
        expect(firstBatchHeader(copy), `cut at ${length}`).toBeUndefined()
      }
    })
  })

  it('that is damaged at its head is LOG_DAMAGED, one that is not there the plain ENOENT error', () => {
    const path = join(temporaryDirectory(), '000003.log')
    expect(() => firstBatchHeader(path)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    const log = encodeLogRecords([Buffer.alloc(40, 1)])
    for (let at = 0; at < log.length; at++) {
      const flipped = Buffer.from(log)
      flipped[at] = flipped.readUInt8(at) ^ 0x10
      writeFileSync(path, flipped)
      expectDamage(() => firstBatchHeader(path), 'LOG_DAMAGED', path)
    }
  })

  it('written by us is replayed by LevelDB at open', async () => {
    const directory = temporaryDirectory()
    await withLevel(directory, (db) => db.put(Buffer.from('one'), Buffer.from('1')))
    const name = readdirSync(directory).find((file) => file.endsWith('.log')) ?? ''
    const log = readFileSync(join(directory, name))
    const { records } = readLogRecords(log, name, { tolerateTornTail: false })
    expect(encodeLogRecords(records).equals(log)).toBe(true)
    const batch = Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 3, 0x74, 0x77, 0x6f, 1, 0x32])
    writeFileSync(join(directory, name), encodeLogRecords([...records, batch]))
    await withLevel(directory, async (db) => {
      expect(db.getSync(Buffer.from('one'))?.toString()).toBe('1')
      expect(db.getSync(Buffer.from('two'))?.toString()).toBe('2')
    })
  })
})

describe('a write batch', () => {
  const header = (sequence: bigint, count: number): Buffer => {
    const bytes = Buffer.alloc(12)
    bytes.writeBigUInt64LE(sequence, 0)
    bytes.writeUInt32LE(count, 8)
    return bytes
  }
  const read = (record: Buffer): unknown => [
    ...readWriteBatch(record, { file: '000003.log', offset: 7 }).operations(),
  ]

  it.each<[string, Buffer]>([
    ['shorter than its header', Buffer.alloc(11)],
    ['with a sequence beyond 2^53 - 1', header(2n ** 53n, 0)],
    ['with fewer operations than it counts', header(1n, 1)],
    [
      'with more operations than it counts',
      Buffer.concat([header(1n, 0), Buffer.from([0, 1, 0x6b])]),
    ],
    ['with an unknown operation', Buffer.concat([header(1n, 1), Buffer.from([2, 1, 0x6b])])],
    ['with a key beyond its end', Buffer.concat([header(1n, 1), Buffer.from([0, 9, 0x6b])])],
    [
      'with a length that does not end',
      Buffer.concat([header(1n, 1), Buffer.alloc(12, 0xff).fill(0, 0, 1)]),
    ],
  ])('%s is LOG_DAMAGED', (_, record) => {
    const error = expectDamage(() => read(record), 'LOG_DAMAGED', '000003.log')
    expect(error.details['offset']).toBe(7)
  })
})
