import { Buffer } from 'node:buffer'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StateBackendError } from '../../src/errors.js'
import { encodeInternalKey, MAX_SEQUENCE } from '../../src/table/internal-key.js'
import { encodeLogRecords, readLogRecords } from '../../src/table/log-format.js'
import {
  logFileName,
  manifestFileName,
  readManifest,
  tableFileName,
  writeManifest,
  type ManifestFile,
} from '../../src/table/manifest.js'
import {
  decodeVersionEdit,
  encodeVersionEdit,
  type VersionEdit,
} from '../../src/table/version-edit.js'
import { expectDamage, noise, temporaryDirectory, withLevel } from './fixtures.js'

function file(
  level: number,
  number: number,
  smallest: string,
  largest: string,
  sequence = 9,
): ManifestFile {
  return {
    level,
    number,
    sizeBytes: 1000 + number,
    smallest: encodeInternalKey(Buffer.from(smallest), sequence, 1),
    largest: encodeInternalKey(Buffer.from(largest), sequence, 0),
  }
}

const numbers = fc.oneof(fc.nat(300), fc.maxSafeNat())
const levels = fc.nat(6)
const internalKeys = fc
  .tuple(fc.uint8Array({ maxLength: 10 }), numbers)
  .map(([userKey, sequence]) => encodeInternalKey(userKey, sequence, 1))
const edits: fc.Arbitrary<VersionEdit> = fc.record(
  {
    comparator: fc.string(),
    logNumber: numbers,
    prevLogNumber: numbers,
    nextFileNumber: numbers,
    lastSequence: numbers,
    compactPointers: fc.array(fc.record({ level: levels, key: internalKeys })),
    deletedFiles: fc.array(fc.record({ level: levels, number: numbers })),
    newFiles: fc.array(
      fc
        .tuple(levels, numbers, fc.integer({ min: 1 }), fc.string(), fc.string())
        .map(([level, number, sizeBytes, a, b]) => {
          const [first, last] = [Buffer.from(a), Buffer.from(b)].sort((x, y) =>
            Buffer.compare(x, y),
          )
          return {
            level,
            number,
            sizeBytes,
            smallest: encodeInternalKey(first ?? Buffer.alloc(0), 8, 1),
            largest: encodeInternalKey(last ?? Buffer.alloc(0), 7, 0),
          }
        }),
    ),
  },
  { requiredKeys: ['compactPointers', 'deletedFiles', 'newFiles'] },
)

describe('a version edit', () => {
  it('is decoded to what was encoded', () => {
    fc.assert(
      fc.property(edits, (edit) => {
        expect(decodeVersionEdit(encodeVersionEdit(edit))).toEqual(edit)
      }),
    )
  })

  it('cut anywhere is MANIFEST_DAMAGED or an edit of its first fields', () => {
    const edit = {
      logNumber: 300,
      compactPointers: [],
      deletedFiles: [],
      newFiles: [file(2, 5, 'a', 'b')],
    }
    const record = encodeVersionEdit(edit)
    for (let length = 1; length < record.length; length++) {
      if (length === 3) continue // exactly the log number
      const cut = record.subarray(0, length)
      const error = expectDamage(
        () => decodeVersionEdit(cut, 'MANIFEST', 77),
        'MANIFEST_DAMAGED',
        'MANIFEST',
      )
      expect(error.details['offset']).toBe(77)
    }
  })

  it.each<[string, Buffer]>([
    ['an unknown tag', Buffer.from([8, 0])],
    ['a level of 7', Buffer.from([6, 7, 1])],
    [
      'a table of no bytes',
      encodeVersionEdit({
        compactPointers: [],
        deletedFiles: [],
        newFiles: [{ ...file(0, 1, 'a', 'b'), sizeBytes: 0 }],
      }),
    ],
    [
      'a table that ends before it begins',
      encodeVersionEdit({
        compactPointers: [],
        deletedFiles: [],
        newFiles: [file(0, 1, 'b', 'a')],
      }),
    ],
    ['a bound too short for an internal key', Buffer.from([7, 0, 1, 1, 1, 0x61, 1, 0x62])],
    [
      'a number beyond 2^53 - 1',
      Buffer.from([4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
    ],
  ])('with %s is MANIFEST_DAMAGED', (_, record) => {
    expectDamage(() => decodeVersionEdit(record, 'MANIFEST'), 'MANIFEST_DAMAGED', 'MANIFEST')
  })
})

describe('file names', () => {
  it('are LevelDB’s', () => {
    expect([tableFileName(7), logFileName(123456), manifestFileName(1234567)]).toEqual([
      '000007.ldb',
      '123456.log',
      'MANIFEST-1234567',
    ])
  })
})

describe('a MANIFEST of ours', () => {
  it('is read as it was written, sorted, with numbers above every file', () => {
    const directory = temporaryDirectory()
    const [a, b, c, d] = [
      file(2, 9, 'n', 'z'),
      file(0, 4, 'a', 'z'),
      file(2, 30, 'a', 'm'),
      file(0, 3, 'q', 'r'),
    ]
    writeManifest(directory, { lastSequence: 9, files: [a, b, c, d] })
    expect(readManifest(directory)).toEqual({
      manifestNumber: 31,
      comparator: 'leveldb.BytewiseComparator',
      logNumber: 0,
      nextFileNumber: 32,
      lastSequence: 9,
      files: [d, b, c, a],
    })
    expect(readFileSync(join(directory, 'CURRENT'), 'latin1')).toBe('MANIFEST-000031\n')
  })

  it('of no tables is an empty database for LevelDB', async () => {
    const directory = temporaryDirectory()
    writeManifest(directory, { lastSequence: 41, files: [] })
    await withLevel(directory, async (db) => {
      expect(await db.keys().all()).toEqual([])
      await db.put(Buffer.from('k'), Buffer.from('v'))
      expect(readManifest(directory)).toMatchObject({ lastSequence: 41, files: [] })
    })
  })

  it('takes a thousand tables, over several log blocks', () => {
    const directory = temporaryDirectory()
    const files = Array.from({ length: 1000 }, (_, index) => {
      const key = `${'k'.repeat(40)}${String(index).padStart(6, '0')}`
      return file(1, index + 1, key, `${key}+`)
    })
    writeManifest(directory, { lastSequence: MAX_SEQUENCE, files })
    expect(statSync(join(directory, manifestFileName(1001))).size).toBeGreaterThan(3 * 32768)
    expect(readManifest(directory).files).toEqual(files)
  })

  it.each<[string, readonly ManifestFile[], number]>([
    ['tables of level 1 that overlap', [file(1, 1, 'a', 'm'), file(1, 2, 'k', 'z')], 9],
    ['tables of level 1 that share a key', [file(1, 1, 'a', 'm', 3), file(1, 2, 'm', 'z')], 9],
    ['a number used twice', [file(0, 1, 'a', 'b'), file(1, 1, 'c', 'd')], 9],
    ['bounds the wrong way round', [file(0, 1, 'b', 'a')], 9],
    ['no bytes', [{ ...file(0, 1, 'a', 'b'), sizeBytes: 0 }], 9],
    ['number 0', [file(0, 0, 'a', 'b')], 9],
    ['level 7', [file(7, 1, 'a', 'b')], 9],
    ['a last sequence that would hide it', [file(0, 1, 'a', 'b')], 8],
    [
      'bounds that are no internal keys',
      [{ ...file(0, 1, 'a', 'b'), smallest: Buffer.from('a') }],
      9,
    ],
  ])('M1: with %s is a bug, and nothing is written', (_, files, lastSequence) => {
    const directory = temporaryDirectory()
    expect(() => {
      writeManifest(directory, { lastSequence, files })
    }).toThrow(expect.objectContaining({ code: 'INVARIANT_BROKEN' }))
    expect(readdirSync(directory)).toEqual([])
  })

  it('allows adjacent tables to share a user key, as LevelDB does', () => {
    const directory = temporaryDirectory()
    const files = [file(1, 1, 'a', 'm', 9), file(1, 2, 'm', 'z', 8)]
    writeManifest(directory, { lastSequence: 9, files })
    expect(readManifest(directory).files).toEqual(files)
  })

  it('M3: is refused where there is one already, which stays', () => {
    const directory = temporaryDirectory()
    writeManifest(directory, { lastSequence: 9, files: [file(0, 1, 'a', 'b')] })
    for (const number of [1, 5]) {
      expect(() => {
        writeManifest(directory, { lastSequence: 9, files: [file(0, number, 'c', 'd')] })
      }).toThrow(expect.objectContaining({ code: 'DIRECTORY_NOT_EMPTY' }))
    }
    expect(readManifest(directory).files).toEqual([file(0, 1, 'a', 'b')])
    expect(readdirSync(directory).sort()).toEqual(['CURRENT', 'MANIFEST-000002'])
  })

  it('in a directory that is not there is STORE_FAILED', () => {
    const directory = join(temporaryDirectory(), 'absent')
    expect(() => {
      writeManifest(directory, { lastSequence: 0, files: [] })
    }).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }))
  })
})

describe('a MANIFEST of LevelDB', () => {
  it('is read while LevelDB writes it, edit by edit, with every table it names', async () => {
    const directory = temporaryDirectory()
    const options = { writeBufferSize: 64 * 1024, maxFileSize: 2 ** 20 }
    let deepest = 0
    await withLevel(
      directory,
      async (db) => {
        let logNumber = -1
        for (let round = 0; round < 30; round++) {
          const batch = db.batch()
          for (let index = 0; index < 60; index++) {
            batch.put(Buffer.from(`key-${(round * 7919 + index * 31) % 1000}`), noise(500, index))
          }
          await batch.write()
          const state = readManifest(directory)
          expect(state.logNumber).toBeGreaterThanOrEqual(logNumber)
          expect(state.nextFileNumber).toBeGreaterThan(state.manifestNumber)
          expect(existsSync(join(directory, manifestFileName(state.manifestNumber)))).toBe(true)
          logNumber = state.logNumber
          deepest = Math.max(deepest, ...state.files.map((table) => table.level))
        }
        await db.compactRange(Buffer.from('key-'), Buffer.from('key-~'))
      },
      options,
    )
    const state = readManifest(directory)
    for (const { number, sizeBytes } of state.files) {
      expect(statSync(join(directory, tableFileName(number))).size).toBe(sizeBytes)
    }
    expect(deepest).toBeGreaterThan(0)
    expect(state.lastSequence).toBe(1800)
  })

  it('is encoded again to the same bytes', async () => {
    const directory = temporaryDirectory()
    await withLevel(directory, async (db) => {
      for (let round = 0; round < 5; round++) {
        await db.put(Buffer.from(`key-${round}`), noise(1000, round))
        await db.compactRange(Buffer.from('a'), Buffer.from('z'))
      }
    })
    const path = join(directory, manifestFileName(readManifest(directory).manifestNumber))
    const bytes = readFileSync(path)
    const { records } = readLogRecords(bytes, path, { tolerateTornTail: false })
    expect(records.length).toBeGreaterThan(5)
    const again = records.map((record) => encodeVersionEdit(decodeVersionEdit(record, path)))
    expect(encodeLogRecords(again).equals(bytes)).toBe(true)
  })
})

describe('a damaged MANIFEST', () => {
  const edit = (fields: Partial<VersionEdit>): Buffer =>
    encodeVersionEdit({ compactPointers: [], deletedFiles: [], newFiles: [], ...fields })
  const records = [
    edit({
      comparator: 'leveldb.BytewiseComparator',
      logNumber: 3,
      nextFileNumber: 5,
      lastSequence: 0,
    }),
    edit({ logNumber: 6, nextFileNumber: 8, lastSequence: 20, newFiles: [file(0, 7, 'a', 'z')] }),
    edit({
      nextFileNumber: 10,
      lastSequence: 20,
      deletedFiles: [{ level: 0, number: 7 }],
      newFiles: [file(1, 8, 'a', 'k'), file(1, 9, 'l', 'z')],
    }),
  ]
  const manifest = encodeLogRecords(records)

  function directoryWith(bytes: Buffer): { directory: string; path: string } {
    const directory = temporaryDirectory()
    const path = join(directory, manifestFileName(4))
    writeFileSync(path, bytes)
    writeFileSync(join(directory, 'CURRENT'), 'MANIFEST-000004\n')
    return { directory, path }
  }

  it('is refused, whichever byte is flipped', () => {
    const { directory, path } = directoryWith(manifest)
    expect(readManifest(directory).files).toEqual([file(1, 8, 'a', 'k'), file(1, 9, 'l', 'z')])
    for (let at = 0; at < manifest.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const flipped = Buffer.from(manifest)
        flipped[at] = flipped.readUInt8(at) ^ mask
        writeFileSync(path, flipped)
        expectDamage(() => readManifest(directory), 'MANIFEST_DAMAGED', path)
      }
    }
  })

  it('that is cut gives the state of its whole edits, as while LevelDB appends', () => {
    const { directory, path } = directoryWith(manifest)
    const states = [1, 2, 3].map((count) => {
      const bytes = encodeLogRecords(records.slice(0, count))
      writeFileSync(path, bytes)
      return { length: bytes.length, state: readManifest(directory) }
    })
    for (let length = 0; length <= manifest.length; length++) {
      writeFileSync(path, manifest.subarray(0, length))
      const expected = states.findLast((candidate) => candidate.length <= length)
      if (expected === undefined)
        expectDamage(() => readManifest(directory), 'MANIFEST_DAMAGED', path)
      else expect(readManifest(directory)).toEqual(expected.state)
    }
  })

  it.each<[string, Partial<VersionEdit>]>([
    ['another comparator', { comparator: 'rocksdb.Other' }],
    ['a previous log', { prevLogNumber: 2 }],
    ['tables that overlap', { newFiles: [file(1, 8, 'a', 'k'), file(1, 9, 'b', 'z')] }],
    ['a table at two levels', { newFiles: [file(1, 8, 'a', 'k'), file(2, 8, 'a', 'k')] }],
    ['a next file number that is in use', { nextFileNumber: 8, newFiles: [file(1, 8, 'a', 'k')] }],
  ])('is refused with %s', (_, fields) => {
    const [first] = records
    const { directory, path } = directoryWith(
      encodeLogRecords([first ?? Buffer.alloc(0), edit({ nextFileNumber: 50, ...fields })]),
    )
    expectDamage(() => readManifest(directory), 'MANIFEST_DAMAGED', path)
  })

  it('is refused when it or CURRENT is missing, or CURRENT is not whole', () => {
    const { directory, path } = directoryWith(manifest)
    const current = join(directory, 'CURRENT')
    for (const content of [
      '',
      'MANIFEST-000004',
      'MANIFEST-\n',
      '../MANIFEST-000004\n',
      'MANIFEST-4x\n',
    ]) {
      writeFileSync(current, content)
      expectDamage(() => readManifest(directory), 'MANIFEST_DAMAGED', current)
    }
    writeFileSync(current, 'MANIFEST-000004\n')
    renameSync(path, `${path}.gone`)
    expectDamage(() => readManifest(directory), 'MANIFEST_DAMAGED', path)
    const empty = join(directory, 'empty')
    mkdirSync(empty)
    expectDamage(() => readManifest(empty), 'MANIFEST_DAMAGED', join(empty, 'CURRENT'))
  })

  it('that is a directory is STORE_FAILED', () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'CURRENT'))
    expect(() => readManifest(directory)).toThrow(StateBackendError)
    expect(() => readManifest(directory)).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }))
  })
})
