import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StateBackendError } from '../../src/errors.js'
import { encodeLogRecords, readLogRecords } from '../../src/table/log-format.js'
import { expectDamage, noise } from './fixtures.js'

const BLOCK_BYTES = 32768
const HEADER_BYTES = 7
const STRICT = { tolerateTornTail: false }
const TOLERANT = { tolerateTornTail: true }

function expectRecords(actual: readonly Buffer[], expected: readonly Buffer[]): void {
  expect(actual.length).toBe(expected.length)
  for (const [index, record] of actual.entries()) {
    expect(record.equals(expected[index] ?? Buffer.alloc(0))).toBe(true)
  }
}

function expectRoundTrip(records: readonly Buffer[]): void {
  const log = encodeLogRecords(records)
  const read = readLogRecords(log, 'log', STRICT)
  expectRecords(read.records, records)
  expect(read.endOffset).toBe(log.length)
  expect(read.offsets.length).toBe(records.length)
}

describe('a log', () => {
  it('gives back records of any sizes, also those that end around a block’s end', () => {
    const sizes = fc.oneof(
      fc.nat(50),
      fc.integer({ min: -20, max: 20 }).map((delta) => BLOCK_BYTES - HEADER_BYTES + delta),
      fc.integer({ min: -20, max: 20 }).map((delta) => 2 * (BLOCK_BYTES - HEADER_BYTES) + delta),
    )
    fc.assert(
      fc.property(fc.array(sizes, { maxLength: 6 }), (lengths) => {
        expectRoundTrip(lengths.map((length, index) => Buffer.alloc(length, index + 1)))
      }),
    )
  })

  it('gives back what leaves 0 to 9 bytes of a block, followed by anything', () => {
    for (let left = 0; left <= 9; left++) {
      const first = noise(BLOCK_BYTES - HEADER_BYTES - left, left)
      for (const length of [0, 1, 3, 100, BLOCK_BYTES, 3 * BLOCK_BYTES]) {
        expectRoundTrip([first, noise(length, length), Buffer.from('end')])
      }
    }
  })

  it('says where records start and where the last whole one ends', () => {
    const log = encodeLogRecords([Buffer.alloc(10), Buffer.alloc(20)])
    const torn = Buffer.concat([log, log.subarray(0, 5)])
    expect(readLogRecords(torn, 'log', TOLERANT)).toMatchObject({ offsets: [0, 17], endOffset: 44 })
    expect(
      expectDamage(() => readLogRecords(torn, 'log', STRICT), 'LOG_DAMAGED', 'log').details,
    ).toEqual({
      file: 'log',
      offset: 44,
    })
  })

  it('is empty when it has no bytes', () => {
    expect(readLogRecords(Buffer.alloc(0), 'log', STRICT)).toEqual({
      records: [],
      offsets: [],
      endOffset: 0,
    })
  })
})

const records = [noise(30, 1), Buffer.alloc(0), noise(300, 2), noise(1, 3), noise(90, 4)]
const log = encodeLogRecords(records)

describe('a log that is cut', () => {
  it('L2: gives the whole records before the cut, and without tolerance only at a record’s end', () => {
    const ends = new Set([0])
    for (let count = 1; count <= records.length; count++)
      ends.add(encodeLogRecords(records.slice(0, count)).length)
    for (let length = 0; length <= log.length; length++) {
      const cut = log.subarray(0, length)
      const whole = [...ends].filter((end) => end > 0 && end <= length).length
      const read = readLogRecords(cut, 'log', TOLERANT)
      expectRecords(read.records, records.slice(0, whole))
      expect(ends.has(read.endOffset)).toBe(true)
      if (ends.has(length))
        expectRecords(readLogRecords(cut, 'log', STRICT).records, records.slice(0, whole))
      else expectDamage(() => readLogRecords(cut, 'log', STRICT), 'LOG_DAMAGED', 'log')
    }
  })

  it('L2: never gives part of a record that spans blocks', () => {
    const large = [Buffer.from('first'), noise(3 * BLOCK_BYTES, 5)]
    const bytes = encodeLogRecords(large)
    for (let block = 0; block * BLOCK_BYTES < bytes.length; block++) {
      for (const delta of [-8, -7, -1, 0, 1, 6, 7, 8]) {
        const length = block * BLOCK_BYTES + delta
        if (length < 12 || length >= bytes.length) continue
        const read = readLogRecords(bytes.subarray(0, length), 'log', TOLERANT)
        expectRecords(read.records, large.slice(0, 1))
      }
    }
  })
})

describe('a log with a flipped byte', () => {
  it.each([STRICT, TOLERANT])('L1: is refused, wherever the byte is: %o', (options) => {
    for (let at = 0; at < log.length; at++) {
      for (const mask of [0x01, 0x04, 0x80, 0xff]) {
        const flipped = Buffer.from(log)
        flipped[at] = flipped.readUInt8(at) ^ mask
        expectDamage(() => readLogRecords(flipped, 'log', options), 'LOG_DAMAGED', 'log')
      }
    }
  })

  it('L1: is refused or unharmed in a log of several blocks, where filler is not used', () => {
    const large = [noise(BLOCK_BYTES - HEADER_BYTES - 3, 6), noise(BLOCK_BYTES + 10, 7)]
    const bytes = encodeLogRecords(large)
    const positions = [0, 4, 5, 6, 7, BLOCK_BYTES, 2 * BLOCK_BYTES].flatMap((at) => [
      at,
      at + 4,
      at + 5,
      at + 6,
    ])
    let unharmed = 0
    for (const at of [...positions, BLOCK_BYTES - 3, BLOCK_BYTES - 1]) {
      const flipped = Buffer.from(bytes)
      flipped[at] = flipped.readUInt8(at) ^ 0x40
      try {
        expectRecords(readLogRecords(flipped, 'log', TOLERANT).records, large)
        unharmed++
      } catch (error) {
        if (!(error instanceof StateBackendError)) throw error
        expect(error.code).toBe('LOG_DAMAGED')
      }
    }
    expect(unharmed).toBe(2)
  })
})

describe('a log whose fragments do not belong together', () => {
  const [first, middle] = [log.subarray(0, 37), encodeLogRecords([noise(2 * BLOCK_BYTES, 8)])]
  const secondBlock = middle.subarray(BLOCK_BYTES)

  it('is refused: a middle or last fragment first, a beginning inside a record', () => {
    expectDamage(() => readLogRecords(secondBlock, 'log', TOLERANT), 'LOG_DAMAGED', 'log')
    const restarted = Buffer.concat([middle.subarray(0, BLOCK_BYTES), first])
    expectDamage(() => readLogRecords(restarted, 'log', TOLERANT), 'LOG_DAMAGED', 'log')
  })

  it('is refused when a region is zeros', () => {
    expectDamage(() => readLogRecords(Buffer.alloc(100), 'log', TOLERANT), 'LOG_DAMAGED', 'log')
    expectDamage(
      () => readLogRecords(Buffer.concat([log, Buffer.alloc(64)]), 'log', TOLERANT),
      'LOG_DAMAGED',
      'log',
    )
  })

  it('is refused under the name its reader gives to damage', () => {
    const options = { tolerateTornTail: true, damageCode: 'MANIFEST_DAMAGED' } as const
    expectDamage(
      () => readLogRecords(Buffer.alloc(9), 'MANIFEST', options),
      'MANIFEST_DAMAGED',
      'MANIFEST',
    )
  })
})
