import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../src/common/bytes.js'
import { StateBackendError } from '../../src/errors.js'
import { anyKey, numberKey, type KeyIdentity } from '../../src/record/key-serializer.js'
import { ListCellCodec, MapCellCodec, ValueCellCodec } from '../../src/state/cell-codecs.js'
import { ElementCodec } from '../../src/state/element-codec.js'
import { adoptCells, rawCellCodec } from '../../src/state/raw-cell-codec.js'
import { mapState } from '../../src/state/state-descriptor.js'
import type { CellCodec } from '../../src/store/cell-codec.js'
import { cellEntries } from '../../src/store/cell-entries.js'
import { PackedList, Spilled, TOMBSTONE, type Cell } from '../../src/store/cell.js'
import { Encoded, type Element } from '../../src/store/element.js'
import { PackedMap } from '../../src/store/packed-map.js'
import { BufferHarness } from './buffer-harness.js'

const elements = new ElementCodec<unknown>()
const codecs: Record<string, CellCodec> = {
  value: new ValueCellCodec(elements),
  list: new ListCellCodec(elements),
  map: new MapCellCodec(anyKey, elements),
}
const {
  value: valueCodec,
  list: listCodec,
  map: mapCodec,
} = codecs as Record<'value' | 'list' | 'map', CellCodec>

function encoded(codec: CellCodec, cell: Exclude<Cell, typeof TOMBSTONE>): Buffer {
  const out = new ByteWriter()
  codec.encode(cell, out)
  return out.copy()
}

function packedMap(entries: readonly (readonly [KeyIdentity, Element])[]): PackedMap {
  const map = new PackedMap()
  for (const [key, element] of entries) map.set(key, element)
  return map
}

/** The values in a cell, for comparison. */
function contents(cell: Cell): unknown {
  if (cell instanceof PackedList) return cell.elements.map((each) => elements.fromElement(each))
  if (cell instanceof PackedMap) {
    return new Map(
      cell.keys().map((key) => {
        const each = cell.get(key) as Element
        return [key, each === null ? null : elements.fromElement(each)]
      }),
    )
  }
  if (cell instanceof Spilled) return { epoch: cell.epoch, chunkCount: cell.chunkCount }
  if (cell === TOMBSTONE) return undefined
  return elements.fromElement(cell)
}

const value = fc.oneof(
  fc.double(),
  fc.string(),
  fc.boolean(),
  fc.bigInt(),
  fc.constant({ a: [-0, 'text'] }),
)
const userKey = fc.oneof(fc.integer(), fc.string(), fc.bigInt(), fc.boolean())

describe('the bytes of cells', () => {
  it('values, packed lists, packed maps and spilled headers come back', () => {
    fc.assert(
      fc.property(
        value,
        fc.array(value),
        fc.array(fc.tuple(userKey, fc.option(value))),
        fc.maxSafeNat(),
        fc.nat(),
        (single, many, pairs, epoch, chunkCount) => {
          const list = new PackedList(many.map((each) => elements.toElement(each)), 0) // prettier-ignore
          const entries = pairs.map(
            ([key, each]) =>
              [anyKey.identityOf(key), each === null ? null : elements.toElement(each)] as const,
          )
          const map = packedMap(entries)
          const spilled = new Spilled(epoch, chunkCount, new Map(), 0)
          const cells: [CellCodec, Exclude<Cell, typeof TOMBSTONE>][] = [
            [valueCodec, elements.toElement(single)],
            [listCodec, list],
            [mapCodec, map],
            [listCodec, spilled],
            [mapCodec, spilled],
          ]
          for (const [codec, cell] of cells) {
            expect(contents(codec.decode(encoded(codec, cell)))).toStrictEqual(contents(cell))
          }
        },
      ),
    )
  })

  it('are frozen: they are on disk', () => {
    const hex = (codec: CellCodec, cell: Exclude<Cell, typeof TOMBSTONE>): string =>
      encoded(codec, cell).toString('hex')
    expect(hex(valueCodec, 5)).toBe('05')
    expect(hex(listCodec, new PackedList([1, 'a'], 0))).toBe('0002010102a161')
    expect(
      hex(
        mapCodec,
        packedMap([
          [true, 1],
          [false, null],
        ]),
      ),
    ).toBe(
      // prettier-ignore
      '000201010201010000',
    )
    expect(hex(mapCodec, new Spilled(300, 0, new Map(), 0))).toBe('01ac0200')
    expect(hex(listCodec, new Spilled(1, 7, new Map(), 0))).toBe('010107')
    const out = new ByteWriter()
    mapCodec.encodeEntry(null, out)
    mapCodec.encodeEntry('a', out)
    listCodec.encodeEntry([1], out)
    expect(out.view().toString('hex')).toBe('0001a161010101')
  })

  it('cut or altered are VALUE_DAMAGED or other values, never another error or an endless loop', () => {
    const samples: [CellCodec, Buffer][] = [
      [listCodec, encoded(listCodec, new PackedList([1, 'text', new Encoded(Buffer.from([0x91, 1]))], 0))], // prettier-ignore
      [mapCodec, encoded(mapCodec, packedMap([['a', 'b'], ['c', null]]))], // prettier-ignore
      [listCodec, encoded(listCodec, new Spilled(1000, 1000, new Map(), 0))],
    ]
    for (const [codec, bytes] of samples) {
      for (let at = 0; at < bytes.length; at++) {
        const altered = [0x01, 0x7f, 0x80, 0xff].map((flip) => {
          const flipped = Buffer.from(bytes)
          flipped[at] = (flipped[at] ?? 0) ^ flip
          return flipped
        })
        for (const attempt of [bytes.subarray(0, at), ...altered]) {
          for (const decode of [
            () => contents(codec.decode(attempt)),
            () => codec.decodeEntry(attempt),
          ]) {
            try {
              decode()
            } catch (error) {
              expect(error).toBeInstanceOf(StateBackendError)
              expect(error).toMatchObject({ code: 'VALUE_DAMAGED' })
            }
          }
        }
      }
      expect(() => codec.decode(Buffer.concat([bytes, Buffer.from([0])]))).toThrow(
        StateBackendError,
      )
    }
  })
})

describe('cells of a restored state that nobody registered', () => {
  it('are written as they were by whoever began before the state was registered', async () => {
    const typed = new BufferHarness({
      keySerializer: numberKey,
      resident: true,
      writeBufferBytes: 2 ** 30,
      readCacheBytes: 0,
    })
    const state = typed.state(mapState<string, string>('m'))
    for (const key of [1, 2, 3]) {
      typed.setKey(key)
      for (let i = 0; i < (key === 1 ? 3 : 200); i++) state.put(`user key ${i}`, `value ${i}`)
    }
    await typed.flush()

    const raw = new BufferHarness({
      keySerializer: numberKey,
      resident: true,
      writeBufferBytes: 2 ** 30,
      readCacheBytes: 0,
    })
    const { stateId } = typed.table('m')
    const table = raw.buffer.createTable(stateId, 'm', rawCellCodec)
    for (const [offset, bucket] of typed.table('m').cached.young.entries()) {
      for (const [identity, cell] of bucket ?? []) table.cached.put(offset, identity, rawOf(cell))
    }

    const expected = [...typed.stored].toSorted(([a], [b]) => (a < b ? -1 : 1))
    const written = () =>
      cellEntries(raw.entriesOf({ layers: new Map([[table, table.cached.young]]), raw: new Map() }))
    const suspended = written()
    const seen = [suspended.next().value].map(copy)
    adoptCells(table, mapCodec)
    for (const entry of suspended) seen.push(copy(entry))
    expect(seen).toEqual(expected)
    expect(Array.from(written(), copy)).toEqual(expected)
    expect(raw.buffer.cachedBytes).toBe(typed.buffer.cachedBytes)
  })

  it('stay as they are when one of them cannot be decoded', () => {
    const raw = new BufferHarness({
      keySerializer: numberKey,
      resident: true,
      writeBufferBytes: 2 ** 30,
      readCacheBytes: 0,
    })
    const table = raw.buffer.createTable(1, 'v', rawCellCodec)
    for (const key of [1, 2, 3]) table.cached.put(key, key, new Encoded(Buffer.from(`cell ${key}`)))
    const { cachedBytes } = raw.buffer
    const damaged = {
      ...rawCellCodec,
      decode: (bytes: Buffer): Encoded => {
        if (bytes.toString() === 'cell 2') throw new Error('this is damaged')
        return new Encoded(bytes)
      },
    }
    expect(() => adoptCells(table, damaged)).toThrow('this is damaged')
    expect(table.codec).toBe(rawCellCodec)
    expect(raw.buffer.cachedBytes).toBe(cachedBytes)
    const keys = table.cached.young.flatMap((bucket) => [...(bucket?.keys() ?? [])])
    expect(keys).toEqual([1, 2, 3])
  })
})

/** As a restore makes it: values as bytes, subkeys as theirs. */
function rawOf(cell: Cell): Cell {
  if (cell === TOMBSTONE) return cell
  if (!(cell instanceof Spilled)) return new Encoded(encoded(mapCodec, cell))
  const raw = new Spilled(cell.epoch, cell.chunkCount, new Map(), cell.bytes)
  for (const [subkey, entry] of cell.entries) {
    if (entry === TOMBSTONE) continue
    const key = new ByteWriter()
    anyKey.write(subkey, key)
    const bytes = new ByteWriter()
    mapCodec.encodeEntry(entry, bytes)
    raw.entries.set(key.view().toString('latin1'), new Encoded(bytes.copy()))
  }
  return raw
}

function copy(entry: { key: Buffer; value: Buffer | undefined } | undefined | void): unknown {
  if (entry === undefined) return undefined
  return [entry.key.toString('latin1'), entry.value && Buffer.from(entry.value)]
}
