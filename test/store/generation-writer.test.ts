/** One generation as several delta tables, which follow each other as if each were of a generation of its own. */
import { Buffer } from 'node:buffer'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/common/clock.js'
import { Slicer } from '../../src/common/slicer.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { TOMBSTONE } from '../../src/store/cell.js'
import { writeGeneration, type WrittenTable } from '../../src/store/generation-writer.js'
import type { RawValue } from '../../src/store/write-buffer.js'
import { compareUserKey, userKeyOf } from '../../src/table/internal-key.js'
import { TableFileWriter } from '../../src/table/table-file.js'
import { TableReader } from '../../src/table/table-reader.js'
import { temporaryDirectory } from '../support/state-task.js'

const LAST_SEQUENCE = 41
const VALUE_BYTES = 1000
/** A table holds one block of about 4 KiB before it is seen to be full. */
const TABLE_BYTES = 1

/** Every seventh entry deletes. */
function entriesOf(count: number): Map<string, RawValue> {
  const entry = (index: number): [string, RawValue] => [
    `\0\0 entry ${String(index).padStart(5, '0')}`,
    index % 7 === 0 ? TOMBSTONE : Buffer.alloc(VALUE_BYTES, index),
  ]
  return new Map(Array.from({ length: count }, (_, index) => entry(index)))
}

interface Writing {
  readonly raw: Map<string, RawValue>
  readonly tableBytes?: number
  readonly create?: (path: string) => Promise<TableFileWriter>
}

async function write(
  directory: string,
  { raw, tableBytes, create = (path) => TableFileWriter.create(path) }: Writing,
): Promise<readonly WrittenTable[]> {
  let count = 0
  const { tables, store } = await writeGeneration(
    {
      keySerializer: numberKey,
      startKeyGroup: 0,
      numberOfKeyGroups: 1,
      layers: new Map(),
      raw,
    },
    {
      store: undefined,
      lastSequence: LAST_SEQUENCE,
      createTable: () => create(join(directory, `${++count}.ldb`)),
      slicer: new Slicer(systemClock),
      ...(tableBytes === undefined ? {} : { tableBytes }),
    },
  )
  await store()
  return tables
}

function contentsOf(tables: readonly WrittenTable[]): [string, RawValue][] {
  const contents: [string, RawValue][] = []
  let sequence = LAST_SEQUENCE
  for (const { file } of tables) {
    const reader = TableReader.open(file.path)
    for (const entry of reader.entries()) {
      expect(entry.sequence).toBe(++sequence)
      const value = entry.value.length === 0 ? TOMBSTONE : Buffer.from(entry.value)
      contents.push([entry.userKey.toString('latin1'), value])
    }
    reader.close()
    expect(file.largestSequence).toBe(sequence)
  }
  return contents
}

describe('A generation', () => {
  it('that is long becomes tables that follow each other in keys and sequences, and hold all of it', async () => {
    const directory = temporaryDirectory()
    const raw = entriesOf(100)
    const tables = await write(directory, { raw, tableBytes: TABLE_BYTES })
    expect(tables.length).toBeGreaterThan(5)
    expect(contentsOf(tables)).toEqual([...raw])
    for (const [index, { file }] of tables.slice(1).entries()) {
      const before = tables[index]?.file.largest ?? Buffer.alloc(0)
      expect(compareUserKey(before, userKeyOf(file.smallest))).toBeLessThan(0)
    }
    expect(readdirSync(directory)).toHaveLength(tables.length)
  })

  it('that is short is one table', async () => {
    const directory = temporaryDirectory()
    const raw = entriesOf(100)
    const tables = await write(directory, { raw })
    expect(tables).toHaveLength(1)
    expect(contentsOf(tables)).toEqual([...raw])
  })

  it('that ends as a table is full leaves no empty one, however long it is', async () => {
    for (let count = 1; count <= 20; count++) {
      const directory = temporaryDirectory()
      const raw = entriesOf(count)
      const tables = await write(directory, { raw, tableBytes: TABLE_BYTES })
      expect(contentsOf(tables)).toEqual([...raw])
      expect(readdirSync(directory)).toHaveLength(tables.length)
    }
  })

  it('that cannot be written to its end leaves no file', async () => {
    const directory = temporaryDirectory()
    const full = new Error('no table can be opened')
    const create = (path: string): Promise<TableFileWriter> =>
      path.endsWith('/4.ldb') ? Promise.reject(full) : TableFileWriter.create(path)
    const writing = write(directory, { raw: entriesOf(100), tableBytes: TABLE_BYTES, create })
    await expect(writing).rejects.toBe(full)
    expect(readdirSync(directory)).toEqual([])
  })
})
