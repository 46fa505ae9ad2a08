/** Deltas merged into one. */
import { Buffer } from 'node:buffer'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  deltaTable,
  estimateMergedBytes,
  mergeDeltas,
  type DeltaTable,
} from '../../src/checkpoint/delta-table.js'
import { Slicer } from '../../src/common/slicer.js'
import { ValueType } from '../../src/table/internal-key.js'
import { KeySketch } from '../../src/table/key-sketch.js'
import { TableFileWriter } from '../../src/table/table-file.js'
import { TableReader } from '../../src/table/table-reader.js'
import { rejection, temporaryDirectory } from '../support/state-task.js'
import { SteppingClock } from '../support/stepping-clock.js'

/** Keys to values; `null` deletes. In ascending order of keys. */
type Contents = readonly (readonly [string, string | null])[]

async function write(
  directory: string,
  fromSequence: number,
  contents: Contents,
): Promise<DeltaTable> {
  const table = await TableFileWriter.create(join(directory, `${fromSequence}.ldb`))
  const sketch = new KeySketch()
  let sequence = fromSequence - 1
  for (const [key, value] of contents) {
    const type = value === null ? ValueType.Deletion : ValueType.Value
    const hash = table.add(Buffer.from(key), ++sequence, type, Buffer.from(value ?? ''))
    sketch.add(hash, Buffer.byteLength(key + (value ?? '')))
  }
  const file = await table.finish()
  if (file === undefined) throw new Error('a delta has entries')
  return deltaTable(file, sketch)
}

function read(path: string): [string, number, string | null][] {
  const reader = TableReader.open(path)
  try {
    return [...reader.entries()].map(({ userKey, sequence, type, value }) => [
      userKey.toString(),
      sequence,
      type === ValueType.Value ? value.toString() : null,
    ])
  } finally {
    reader.close()
  }
}

function options(clock = new SteppingClock(), signal = new AbortController().signal) {
  return { slicer: new Slicer(clock), signal, table: {} }
}

const many = (text: string): Contents =>
  Array.from({ length: 2000 }, (_, n) => [`key ${String(n).padStart(5, '0')}`, `${text} ${n}`])

describe('mergeDeltas', () => {
  it('keeps the newest entry of every key, deletions included, with its sequence', async () => {
    const directory = temporaryDirectory()
    const first = await write(directory, 1, [
      ['a', 'old'],
      ['b', 'old'],
      ['d', null],
    ])
    const second = await write(directory, 4, [
      ['b', null],
      ['c', 'new'],
      ['d', 'new'],
    ])
    const path = join(directory, 'merged.ldb')
    const merged = await mergeDeltas([first, second], path, options())
    expect(read(path)).toEqual([
      ['a', 1, 'old'],
      ['b', 4, null],
      ['c', 5, 'new'],
      ['d', 6, 'new'],
    ])
    expect(merged).toMatchObject({ path, fromSequence: 1, toSequence: 6, entryCount: 4 })
    expect(existsSync(first.path) && existsSync(second.path)).toBe(true)
  })

  it('of united sources stands for all their sequences, whichever source comes last', async () => {
    const directory = temporaryDirectory()
    const ofLargeSource = await write(directory, 7, [['a', 'left']])
    const ofSmallSource = await write(directory, 2, [['m', 'right']])
    const path = join(directory, 'merged.ldb')
    const merged = await mergeDeltas([ofLargeSource, ofSmallSource], path, options())
    expect(merged).toMatchObject({ fromSequence: 2, toSequence: 7 })
  })

  it('aborted on its way: SNAPSHOT_ABORTED, and no file', async () => {
    const directory = temporaryDirectory()
    const deltas = [await write(directory, 1, many('a')), await write(directory, 2001, many('b'))]
    const path = join(directory, 'merged.ldb')
    const abortion = new AbortController()
    const clock = new SteppingClock(10)
    clock.onTurn = () => {
      expect(existsSync(path)).toBe(true)
      abortion.abort()
    }
    const error = await rejection(mergeDeltas(deltas, path, options(clock, abortion.signal)))
    expect(error).toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(clock.turns).toBeGreaterThan(0)
    expect(existsSync(path)).toBe(false)
  })

  it('a damaged delta: TABLE_DAMAGED or STORE_FAILED, and no file', async () => {
    const directory = temporaryDirectory()
    const first = await write(directory, 1, many('a'))
    const missing = { ...first, path: join(directory, 'missing.ldb') }
    const path = join(directory, 'merged.ldb')
    const error = await rejection(mergeDeltas([first, missing], path, options()))
    expect(error).toMatchObject({ code: 'STORE_FAILED' })
    expect(existsSync(path)).toBe(false)
  })
})

describe('estimateMergedBytes', () => {
  it('is near what a merge makes', async () => {
    const directory = temporaryDirectory()
    const deltas = [
      await write(directory, 1, many('a')),
      await write(directory, 2001, many('b')),
      await write(directory, 4001, many('c').slice(0, 1000)),
    ]
    const merged = await mergeDeltas(deltas, join(directory, 'merged.ldb'), options())
    expect(Math.abs(estimateMergedBytes(deltas) / merged.sizeBytes - 1)).toBeLessThan(0.15)
  })

  it('takes those whose keys were not counted for whole, and is 0 for none', async () => {
    const directory = temporaryDirectory()
    const counted = await write(directory, 1, many('a'))
    const restored = { ...counted, sketch: undefined }
    expect(estimateMergedBytes([counted, restored])).toBe(2 * counted.sizeBytes)
    const estimate = estimateMergedBytes([restored, counted, counted])
    expect(Math.abs(estimate / (2 * counted.sizeBytes) - 1)).toBeLessThan(0.15)
    expect(estimateMergedBytes([])).toBe(0)
  })
})
