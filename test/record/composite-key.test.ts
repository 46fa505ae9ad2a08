import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import { ByteReader, ByteReaderError, ByteWriter } from '../../src/common/bytes.js'
import {
  COMPOSITE_KEY_PREFIX_BYTES,
  keyGroupOf,
  keyGroupRangeBounds,
  readVoidNamespace,
  stateIdOf,
  stateIdOfKey,
  VOID_NAMESPACE,
  writeCompositeKeyPrefix,
  writeVoidNamespace,
} from '../../src/record/composite-key.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'

const keyGroup = fc.integer({ min: 0, max: 32_767 })
const stateId = fc.integer({ min: 1, max: 0xffff_ffff })

function prefixOf(group: number, id: number): Buffer {
  const out = new ByteWriter(1)
  writeCompositeKeyPrefix(out, group, id)
  return out.copy()
}

describe('state id', () => {
  // The first seven are published vectors of 32-bit FNV-1a; all are frozen, being written to disk.
  it.each([
    ['', 0x811c9dc5],
    ['a', 0xe40c292c],
    ['b', 0xe70c2de5],
    ['foo', 0xa9f37ed7],
    ['foob', 0x3f5076ef],
    ['fooba', 0x39aaa18a],
    ['foobar', 0xbf9cf968],
    ['total', 0x4d092fd],
    ['by-day', 0xca738147],
    ['日本語', 0x805f5ce7],
  ])('of %j is %i', (name, id) => {
    expect(stateIdOf(name)).toBe(id)
  })

  it('is never the reserved 0, not even of a name whose hash is 0', () => {
    expect(stateIdOf('akhnp9x')).toBe(0x811c9dc5)
  })
})

describe('composite key', () => {
  it('leads with key group and state id, big-endian', () => {
    expect(prefixOf(0x0102, 0x8a0b0c0d).toString('hex')).toBe('01028a0b0c0d')
    expect(COMPOSITE_KEY_PREFIX_BYTES).toBe(6)
  })

  it('gives both back', () => {
    fc.assert(
      fc.property(keyGroup, stateId, fc.uint8Array(), (group, id, rest) => {
        const key = Buffer.concat([prefixOf(group, id), rest])
        expect([keyGroupOf(key), stateIdOfKey(key)]).toEqual([group, id])
      }),
    )
  })

  it('refuses keys that are too short', () => {
    expect(() => keyGroupOf(Buffer.alloc(1))).toThrow(ByteReaderError)
    expect(() => stateIdOfKey(Buffer.alloc(5))).toThrow(ByteReaderError)
  })

  it('K2: the bounds of a range hold exactly the keys of its key groups', () => {
    fc.assert(
      fc.property(keyGroup, keyGroup, keyGroup, stateId, (start, end, group, id) => {
        const range = KeyGroupRange.of(start, end)
        const { gte, lt } = keyGroupRangeBounds(range)
        for (const each of [group, start, end, Math.max(0, start - 1), Math.min(32_767, end + 1)]) {
          const key = prefixOf(each, id)
          const within = key.compare(gte) >= 0 && key.compare(lt) < 0
          expect(within).toBe(range.contains(each))
        }
      }),
    )
  })

  it('bounds the last key group by 8000', () => {
    expect(keyGroupRangeBounds(KeyGroupRange.of(0, 32_767)).lt?.toString('hex')).toBe('8000')
  })

  it('writes and reads the void namespace as one byte', () => {
    const out = new ByteWriter()
    writeVoidNamespace(out)
    expect([...out.view()]).toEqual([VOID_NAMESPACE])
    const reader = new ByteReader(out.copy())
    readVoidNamespace(reader)
    expect(reader.remaining).toBe(0)
  })

  it('refuses another namespace, and none', () => {
    expect(() => readVoidNamespace(new ByteReader(Buffer.from([1])))).toThrow(ByteReaderError)
    expect(() => readVoidNamespace(new ByteReader(Buffer.alloc(0)))).toThrow(ByteReaderError)
  })
})
