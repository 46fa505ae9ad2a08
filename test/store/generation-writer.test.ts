/** One generation as several delta tables, which follow each other as if each were of a generation of its own. */
import { Buffer } from 'node:buffer'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemClock, type Clock } from '../../src/common/clock.js'
import { Slicer } from '../../src/common/slicer.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { TOMBSTONE } from '../../src/store/cell.js'
import {
  writeGeneration,
  type WrittenGeneration,
  type WrittenTable,
} from '../../src/store/generation-writer.js'
import { LevelDBStore } from '../../src/store/leveldb-store.js'
import { MemoryBudget, memoryShareOf } from '../../src/store/memory-budget.js'
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
  readonly store?: LevelDBStore
  readonly held?: boolean
  readonly tableBytes?: number
  readonly clock?: Clock
  readonly create?: (path: string) => Promise<TableFileWriter>
}

async function write(
  directory: string,
  {
    raw,
    store,
    held = false,
    tableBytes,
    clock = systemClock,
    create = (path) => TableFileWriter.create(path),
  }: Writing,
): Promise<WrittenGeneration> {
  let count = 0
  return writeGeneration(
    {
      keySerializer: numberKey,
      startKeyGroup: 0,
      numberOfKeyGroups: 1,
      layers: new Map(),
      raw,
    },
    {
      store,
      held,
      lastSequence: store?.lastSequence ?? LAST_SEQUENCE,
      createTable: () => create(join(directory, `${++count}.ldb`)),
      slicer: new Slicer(clock),
      ...(tableBytes === undefined ? {} : { tableBytes }),
    },
  )
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
    const { tables } = await write(directory, { raw, tableBytes: TABLE_BYTES })
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
    const { tables } = await write(directory, { raw })
    expect(tables).toHaveLength(1)
    expect(contentsOf(tables)).toEqual([...raw])
  })

  it('that ends as a table is full leaves no empty one, however long it is', async () => {
    for (let count = 1; count <= 20; count++) {
      const directory = temporaryDirectory()
      const raw = entriesOf(count)
      const { tables } = await write(directory, { raw, tableBytes: TABLE_BYTES })
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

describe('A generation and LevelDB', () => {
  async function open(): Promise<LevelDBStore> {
    const store = await LevelDBStore.open({
      directory: temporaryDirectory(),
      memory: memoryShareOf(new MemoryBudget(), 'none'),
      compression: 'none',
      lastSequence: 0,
      restored: false,
    })
    onTestFinished(() => store.close())
    return store
  }

  /** A few bytes of each value and its length tell it from the others. */
  function brief([key, value]: readonly [string, RawValue]): string {
    if (value === TOMBSTONE) return `${key} deleted`
    return `${key} ${value.length} ${value[0]} ${value.at(-1)}`
  }

  async function storedBy(store: LevelDBStore): Promise<string[]> {
    const entries = await store.scan(Buffer.of(0), Buffer.of(0xff), 100_000)
    return entries.map(([key, value]) => brief([key.toString('latin1'), value]))
  }

  const kept = (raw: Map<string, RawValue>): string[] =>
    [...raw].filter(([, value]) => value !== TOMBSTONE).map(brief)

  it('one that is held back gets there when it is told to', async () => {
    const store = await open()
    const raw = entriesOf(5000)
    const batch = vi.spyOn(store, 'batch')
    const { store: storeAll, settled } = await write(temporaryDirectory(), {
      raw,
      store,
      held: true,
    })
    await settled()
    expect(batch).not.toHaveBeenCalled()
    expect(store.lastSequence).toBe(0)
    await Promise.all([storeAll(), storeAll()])
    expect(store.lastSequence).toBe(raw.size)
    expect(await storedBy(store)).toEqual(kept(raw))
  })

  it.each([true, false])('one with empty values keeps them, held back: %s', async (held) => {
    const store = await open()
    // A sweep's record has nothing but its key.
    const raw = new Map<string, RawValue>([
      ['\0\0 a', Buffer.alloc(0)],
      ['\0\0 b', TOMBSTONE],
      ['\0\0 c', Buffer.of(1)],
    ])
    const { store: storeAll } = await write(temporaryDirectory(), { raw, store, held })
    await storeAll()
    expect(await storedBy(store)).toEqual(kept(raw))
  })

  it('one that was held back goes there in slices', async () => {
    const store = await open()
    let nowMs = 0
    let pauses = 0
    const clock: Clock = {
      ...systemClock,
      monotonicMs: () => ++nowMs,
      nextTurn: () => {
        pauses++
        return systemClock.nextTurn()
      },
    }
    const raw = entriesOf(5000)
    const { store: storeAll } = await write(temporaryDirectory(), { raw, store, held: true, clock })
    pauses = 0
    await storeAll()
    expect(pauses).toBeGreaterThan(10)
  })

  it.each([
    ['that is not held back', false, 5000, 1],
    ['of more entries than are held back', true, 33_000, 1],
    ['of few but large entries', true, 40, 2 ** 20],
  ])('one %s goes there as it is encoded', async (_which, held, count, bytes) => {
    const store = await open()
    const raw = new Map(
      Array.from({ length: count }, (_, index): [string, RawValue] => [
        `\0\0 ${String(index).padStart(6, '0')}`,
        Buffer.alloc(bytes, index),
      ]),
    )
    const commit = vi.spyOn(store, 'commit')
    const { store: storeAll } = await write(temporaryDirectory(), { raw, store, held })
    expect(commit).toHaveBeenCalled()
    await storeAll()
    expect(store.lastSequence).toBe(raw.size)
    expect(await storedBy(store)).toEqual(kept(raw))
  })

  it('one that LevelDB refuses fails when it is stored, not before', async () => {
    const store = await open()
    const refused = new Error('refused')
    vi.spyOn(store, 'commit').mockRejectedValue(refused)
    const raw = entriesOf(100)
    for (const held of [true, false]) {
      const written = await write(temporaryDirectory(), { raw, store, held })
      expect(written.tables).toHaveLength(1)
      await expect(written.store()).rejects.toBe(refused)
      await written.settled()
    }
  })
})
