/** Rules S1 to S4 of the LevelDB store, and what it links and reads while LevelDB goes on. S5: work-directory; S6: leveldb-failure. */
import { Buffer } from 'node:buffer'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { LevelDBStore, type LevelDBStoreOptions } from '../../src/store/leveldb-store.js'
import { MemoryBudget, memoryShareOf } from '../../src/store/memory-budget.js'
import { readManifest } from '../../src/table/manifest.js'
import { observed, resetObserved } from '../support/observed-level.js'
import { SeededRandom } from '../support/random.js'
import {
  SMALL_MEMORY_BYTES,
  StateTask,
  collect,
  rejection,
  temporaryDirectory,
} from '../support/state-task.js'

vi.mock('classic-level', async (original) => {
  const { observedLevel } = await import('../support/observed-level.js')
  return observedLevel(await original<typeof import('classic-level')>())
})

function optionsFor(directory: string, restored = false): LevelDBStoreOptions {
  const memory = memoryShareOf(new MemoryBudget(SMALL_MEMORY_BYTES), 'none')
  return { directory, memory, compression: 'none', lastSequence: 0, restored }
}

async function openStore(directory = temporaryDirectory()): Promise<LevelDBStore> {
  const store = await LevelDBStore.open(optionsFor(directory))
  onTestFinished(() => store.close())
  resetObserved()
  return store
}

const key = (index: number): Buffer => Buffer.from(String(index).padStart(6, '0'))

function filled(
  store: LevelDBStore,
  from: number,
  to: number,
  value: string,
): ReturnType<LevelDBStore['batch']> {
  const batch = store.batch()
  for (let index = from; index < to; index++) batch.put(key(index), Buffer.from(value))
  return batch
}

describe('S1: at most one write batch is in flight', () => {
  it('S1: batches committed at once are written one after the other, in order', async () => {
    const store = await openStore()
    const batches = Array.from({ length: 20 }, (_, index) => filled(store, 0, 50, `batch ${index}`))
    await Promise.all(batches.map((batch) => store.commit(batch)))
    expect(observed).toMatchObject({ batchesWritten: 20, batchesInFlightMax: 1 })
    for (let index = 0; index < 50; index++) {
      expect(store.get(key(index))?.toString()).toBe('batch 19')
    }
    expect(store.lastSequence).toBe(20 * 50)
  })

  it('S1: a backend that writes as fast as it can has one batch in flight', async () => {
    resetObserved()
    const task = await StateTask.start()
    const snapshots = []
    for (let round = 0; round < 5; round++) {
      await task.put(0, 5000, (index) => `${round} of ${index}`)
      snapshots.push(task.snapshot())
    }
    await Promise.all(snapshots)
    expect(observed.batchesWritten).toBeGreaterThan(10)
    expect(observed.batchesInFlightMax).toBe(1)
    expect(observed.offences).toEqual([])
  })
})

describe('S2: no iterator is open while a batch is in flight', () => {
  it('S2: scans and commits take turns', async () => {
    const store = await openStore()
    await store.commit(filled(store, 0, 1000, 'first'))
    const work: Promise<unknown>[] = []
    for (let index = 0; index < 30; index++) {
      work.push(store.commit(filled(store, 0, 1000, `batch ${index}`)))
      work.push(store.scan(key(0), key(1000), 100))
    }
    await Promise.all(work)
    expect(observed).toMatchObject({
      iteratorsOpened: 30,
      iteratorsOpen: 0,
      batchesWritten: 31,
      overlaps: 0,
    })
  })

  it('S2: a chunk is what the store holds between two batches, never a part of one', async () => {
    const store = await openStore()
    await store.commit(filled(store, 0, 100, 'batch -1'))
    const chunks: Promise<[Buffer, Buffer][]>[] = []
    const commits: Promise<void>[] = []
    for (let index = 0; index < 10; index++) {
      chunks.push(store.scan(key(0), key(100), 100))
      commits.push(store.commit(filled(store, 0, 100, `batch ${index}`)))
    }
    await Promise.all(commits)
    for (const [index, chunk] of (await Promise.all(chunks)).entries()) {
      expect(chunk).toHaveLength(100)
      expect(new Set(chunk.map(([, value]) => value.toString()))).toEqual(
        new Set([`batch ${index - 1}`]),
      )
    }
  })

  it('S2: scans of a backend, held open by their reader, keep no iterator open while it writes', async () => {
    const task = await StateTask.start()
    await task.put(0, 3000, (index) => `value ${index} `.repeat(40))
    await task.checkpoint()
    await task.put(0, 3000, (index) => `value ${index} `.repeat(40))
    await task.checkpoint()
    resetObserved()
    const scan = task.backend.getKeys('value')
    let seen = 0
    for await (const _ of scan) {
      if (++seen % 200 !== 0) continue
      expect(observed.iteratorsOpen).toBe(0)
      await task.put(0, 1500, (index) => `other ${seen} ${index}`.repeat(150))
      if (task.backend.needsDrain) await task.backend.drain()
    }
    expect(seen).toBe(3000)
    expect(observed.batchesWritten).toBeGreaterThan(0)
    expect(observed.iteratorsOpened).toBeGreaterThan(0)
    expect(observed.overlaps).toBe(0)
    expect(observed.offences).toEqual([])
  })
})

describe('S3: point reads are getSync without options', () => {
  it('S3: a backend reads its keys so, and in no other way', async () => {
    const task = await StateTask.start()
    await task.put(0, 100, (index) => `value ${index}`)
    await task.restore((await task.checkpoint()).handle)
    resetObserved()
    expect(task.values(0, 200).filter((value) => value !== undefined)).toHaveLength(100)
    task.backend.setCurrentKey(3)
    task.states.map.put(1, 'one')
    task.states.list.add('one')
    expect(await collect(task.states.map.entries())).toEqual([[1, 'one']])
    await task.checkpoint()
    expect(observed.pointReads).toBeGreaterThanOrEqual(200)
    expect(observed.offences).toEqual([])
  })

  it('S3: bytes come back as Buffers, the caller s own', async () => {
    const store = await openStore()
    await store.commit(filled(store, 1, 2, 'value'))
    const read = store.get(key(1))
    expect(Buffer.isBuffer(read)).toBe(true)
    read?.fill(0)
    expect(store.get(key(1))?.toString()).toBe('value')
    expect(store.get(key(2))).toBeUndefined()
  })
})

describe('keys that were never put', () => {
  it('are absent without a look at LevelDB, nearly all of them', async () => {
    const store = await openStore()
    await store.commit(filled(store, 0, 1000, 'value'))
    const removal = store.batch()
    removal.del(key(3))
    await store.commit(removal)
    for (let index = 1000; index < 3000; index++) expect(store.get(key(index))).toBeUndefined()
    expect(observed.pointReads).toBeLessThan(40)
    resetObserved()
    for (let index = 0; index < 1000; index++) {
      expect(store.get(key(index))?.toString()).toBe(index === 3 ? undefined : 'value')
    }
    expect(observed.pointReads).toBe(1000)
  })

  it('are looked for where a restore prepared the directory: what it holds is not known', async () => {
    const directory = temporaryDirectory()
    const first = await openStore(directory)
    await first.commit(filled(first, 0, 100, 'value'))
    await first.close()
    const store = await LevelDBStore.open({ ...optionsFor(directory, true), lastSequence: 100 })
    onTestFinished(() => store.close())
    await store.commit(filled(store, 100, 200, 'value'))
    for (let index = 0; index < 200; index++) {
      expect(store.get(key(index))?.toString()).toBe('value')
    }
  })

  it('are looked for again when there are more keys than the filter is of use for', async () => {
    const memory = { ...optionsFor('').memory, keyFilterBytes: 64 }
    const store = await LevelDBStore.open({ ...optionsFor(temporaryDirectory()), memory })
    onTestFinished(() => store.close())
    resetObserved()
    for (let from = 0; from < 400; from += 100) {
      await store.commit(filled(store, from, from + 100, 'value'))
    }
    for (let index = 0; index < 800; index++) {
      expect(store.get(key(index))?.toString()).toBe(index < 400 ? 'value' : undefined)
    }
    expect(observed.pointReads).toBe(800)
  })
})

describe('S4: a database is opened once per process, in a directory of our own making', () => {
  it('S4: a second open of the same directory is a bug that is caught, and the first goes on', async () => {
    const directory = temporaryDirectory()
    const store = await openStore(directory)
    await store.commit(filled(store, 1, 2, 'value'))
    expect(await rejection(LevelDBStore.open(optionsFor(directory)))).toMatchObject({
      code: 'INVARIANT_BROKEN',
      message: expect.stringContaining('S4') as string,
      details: { directory },
    })
    expect(await rejection(LevelDBStore.open(optionsFor(directory, true)))).toMatchObject({
      code: 'INVARIANT_BROKEN',
    })
    await store.commit(filled(store, 2, 3, 'value'))
    expect(store.get(key(2))?.toString()).toBe('value')
  })

  it('S4: a directory that holds anything is refused, unless a restore prepared it', async () => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, '000005.ldb'), 'left over')
    expect(await rejection(LevelDBStore.open(optionsFor(directory)))).toMatchObject({
      code: 'INVARIANT_BROKEN',
      message: expect.stringContaining('S4') as string,
    })
    expect(readdirSync(directory)).toEqual(['000005.ldb'])
  })

  it('S4: after a close, and after a failed open, the directory may be opened again', async () => {
    const directory = temporaryDirectory()
    await (await LevelDBStore.open(optionsFor(directory))).close()
    const again = await LevelDBStore.open(optionsFor(directory, true))
    await again.close()
    const inTheWay = join(temporaryDirectory(), 'file')
    writeFileSync(inTheWay, '')
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await rejection(LevelDBStore.open(optionsFor(inTheWay, true)))).toMatchObject({
        code: 'STORE_FAILED',
      })
    }
  })
})

describe('captured tables', () => {
  /** Several memtables of 1 MiB, so that LevelDB flushes and compacts. */
  async function churn(store: LevelDBStore, random: SeededRandom, batches: number): Promise<void> {
    for (let index = 0; index < batches; index++) {
      const from = random.below(4000)
      await store.commit(filled(store, from, from + 400, `${index} ${random.next()} `.repeat(25)))
    }
  }

  it('are the files of the MANIFEST, linked, and stay when LevelDB drops them', async () => {
    const store = await openStore()
    const random = new SeededRandom(7)
    await churn(store, random, 30)
    const target = join(temporaryDirectory(), 'capture')
    const captured = store.captureTables(target)
    if (captured === undefined) throw new Error('compactions were faster sixteen times')
    expect(captured.tables.length).toBeGreaterThan(0)
    expect(captured.coveredSequence).toBeGreaterThan(0)
    expect(captured.coveredSequence).toBeLessThanOrEqual(store.lastSequence)
    const before = new Map(captured.tables.map(({ path }) => [path, statSync(path).size]))
    await churn(store, random, 60)
    const live = new Set(readManifest(store.directory).files.map(({ number }) => number))
    expect(captured.tables.some(({ number }) => !live.has(number))).toBe(true)
    for (const { path, sizeBytes } of captured.tables) {
      expect(statSync(path).size).toBe(sizeBytes)
      expect(before.get(path)).toBe(sizeBytes)
    }
  })

  it('cover nothing while all is in the log, and everything after a reopening without a write', async () => {
    const store = await openStore()
    const target = temporaryDirectory()
    expect(store.captureTables(join(target, 'empty'))).toEqual({ tables: [], coveredSequence: 0 })
    await store.commit(filled(store, 0, 10, 'value'))
    expect(store.captureTables(join(target, 'log'))).toEqual({ tables: [], coveredSequence: 0 })
    expect(store.previewCapture()).toEqual({ tables: [], coveredSequence: 0 })
    await store.close()

    const again = await LevelDBStore.open({
      ...optionsFor(store.directory, true),
      lastSequence: 10,
    })
    onTestFinished(() => again.close())
    const captured = again.captureTables(join(target, 'reopened'))
    expect(captured).toMatchObject({
      coveredSequence: 10,
      tables: [{ level: expect.any(Number) as number }],
    })
  })

  it('a folder that cannot be made is an error of ours', async () => {
    const store = await openStore()
    const file = join(temporaryDirectory(), 'file')
    writeFileSync(file, '')
    expect(() => store.captureTables(join(file, 'capture'))).toThrow(
      expect.objectContaining({ code: 'DIRECTORY_NOT_WRITABLE' }) as Error,
    )
  })
})

describe('the life of a store', () => {
  it('holds no batch and no iterator longer than it needs them', async () => {
    const task = await StateTask.start()
    resetObserved()
    const before = observed.resources
    for (let round = 0; round < 10; round++) {
      await task.put(0, 100, (index) => `${round} of ${index}`)
      await task.checkpoint()
      await collect(task.backend.getKeys('value'))
    }
    expect(observed.resources - before).toBe(0)
  })

  it('close waits for what is under way, and may be called again', async () => {
    const store = await openStore()
    const commit = store.commit(filled(store, 0, 1000, 'value'))
    const scan = store.scan(key(0), key(1000), 1000)
    await Promise.all([store.close(), store.close()])
    await commit
    expect(await scan).toHaveLength(1000)
  })

  it('after close every call is BACKEND_CLOSED', async () => {
    const store = await openStore()
    const batch = filled(store, 0, 1, 'late')
    await store.close()
    const closed = { code: 'BACKEND_CLOSED' }
    expect(await rejection(store.commit(batch))).toMatchObject(closed)
    expect(await rejection(store.scan(key(0), key(1), 1))).toMatchObject(closed)
    expect(() => store.get(key(0))).toThrow(expect.objectContaining(closed) as Error)
    expect(() => store.batch()).toThrow(expect.objectContaining(closed) as Error)
  })
})
