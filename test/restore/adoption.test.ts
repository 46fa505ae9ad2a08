/** What a rescaled restore brings to local disk: which objects it reads, which tables it cuts, and what it tells LevelDB. */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { IncrementalRemoteKeyedStateHandle } from '../../src/checkpoint/keyed-state-handle.js'
import { systemClock } from '../../src/common/clock.js'
import { keyGroupOf } from '../../src/record/composite-key.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { computeKeyGroupForKeyHash } from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { restoreTables, type RestoredTables } from '../../src/restore/restore-operation.js'
import { userKeyOf } from '../../src/table/internal-key.js'
import { readLogRecords } from '../../src/table/log-format.js'
import { readManifest, tableFileName, writeManifest } from '../../src/table/manifest.js'
import { TableReader } from '../../src/table/table-reader.js'
import {
  handleOf,
  MAX_PARALLELISM,
  rejection,
  StateTask,
  temporaryDirectory,
  WHOLE_RANGE,
  type Handle,
} from '../support/state-task.js'

const DELTAS = { smallStateBytes: 2 ** 30, deltaCountMax: 1000 }
const KEYS = 400

interface Restored extends RestoredTables {
  readonly tableDirectory: string
  readonly deltaDirectory: string
}

async function restoreOver(
  keyGroupRange: KeyGroupRange,
  stateHandles: readonly Handle[],
  { storage }: StateTask,
): Promise<Restored> {
  const directory = temporaryDirectory()
  const [tableDirectory, deltaDirectory] = [join(directory, 'db'), join(directory, 'tables')]
  mkdirSync(tableDirectory)
  mkdirSync(deltaDirectory)
  const restored = await restoreTables({
    stateHandles,
    checkpointStorage: storage,
    keyGroupRange,
    maxParallelism: MAX_PARALLELISM,
    keyType: numberKey.typeName,
    tableDirectory,
    deltaDirectory,
    incarnation: 'incarnation',
    clock: systemClock,
  })
  return { ...restored, tableDirectory, deltaDirectory }
}

/** A base of all keys, and deltas: of key groups 0 to 7, of 8 to 15, of all. */
async function taskWithTables(): Promise<{ task: StateTask; handle: Handle }> {
  const task = await StateTask.start({ kind: 'hashmap', policy: DELTAS })
  await task.put(0, KEYS, (key) => `base ${key}`)
  await task.checkpoint(CheckpointOptions.fullCheckpoint())
  for (const [first, last] of [
    [0, 7],
    [8, 15],
    [0, 15],
  ] as const) {
    for (let key = 0; key < KEYS; key++) {
      const group = computeKeyGroupForKeyHash(numberKey.hashCode(key), MAX_PARALLELISM)
      if (group < first || group > last) continue
      task.backend.setCurrentKey(key)
      task.states.value.update(`${first} to ${last}: ${key}`)
    }
    await task.checkpoint()
  }
  const { handle } = await task.checkpoint()
  expect(handle.sharedState.map(({ role }) => role)).toEqual(['base', 'delta', 'delta', 'delta'])
  return { task, handle }
}

const sha256Of = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex')

describe('a restore of a part of the key groups', () => {
  it('reads the tables that overlap, each once, and no other object', async () => {
    const { task, handle } = await taskWithTables()
    const [base, low, high, all] = handle.objects().shared
    for (const [range, expected] of [
      [KeyGroupRange.of(0, 7), [base, low, all]],
      [KeyGroupRange.of(10, 15), [base, high, all]],
      [KeyGroupRange.of(7, 8), [base, low, high, all]],
      [WHOLE_RANGE, [base, low, high, all]],
    ] as const) {
      const gets: string[] = []
      task.objects.plan = (operation, key) => {
        if (operation === 'get') gets.push(key.slice('job/'.length))
        return undefined
      }
      const { statistics } = await restoreOver(range, [handle], task)
      const read = [...expected.map(String), ...handle.objects().exclusive]
      expect(gets.toSorted()).toEqual(read.toSorted())
      expect(statistics.fetchedTables).toBe(expected.length)
      const bytes = handle.sharedState
        .filter(({ state }) => state.kind === 'object' && expected.includes(state.location))
        .reduce((sum, { state }) => sum + state.sizeBytes, 0)
      expect(statistics.fetchedBytes).toBe(bytes)
    }
  })

  it('reads nothing of a handle that does not overlap', async () => {
    const { task, handle } = await taskWithTables()
    const half = handle.getIntersection(KeyGroupRange.of(0, 7))
    if (half === undefined) throw new Error('there is a half')
    task.objects.plan = (_operation, key) => expect.unreachable(key)
    const { files, meta } = await restoreOver(KeyGroupRange.of(8, 15), [half], task)
    expect({ files, meta }).toEqual({ files: [], meta: undefined })
  })

  it('takes tables in the range as they are, and cuts only those that reach beyond it', async () => {
    const { task, handle } = await taskWithTables()
    const range = KeyGroupRange.of(0, 7)
    const { files, tableDirectory, deltaDirectory } = await restoreOver(range, [handle], task)
    const [base, low, , all] = handle.sharedState.map(({ state }) => state.sha256)
    const digests = files.map(({ number }) => sha256Of(join(tableDirectory, tableFileName(number))))
    expect(digests).toHaveLength(3)
    expect(digests[1], 'in the range').toBe(low)
    expect([digests[0], digests[2]]).not.toContain(base)
    expect([digests[0], digests[2]]).not.toContain(all)
    for (const { number, sizeBytes, smallest, largest } of files) {
      const path = join(tableDirectory, tableFileName(number))
      const reader = TableReader.open(path)
      const groups = [...reader.entries()].map(({ userKey }) => keyGroupOf(userKey))
      reader.close()
      expect(groups.filter((group) => !range.contains(group))).toEqual([])
      expect([smallest, largest].map((key) => keyGroupOf(userKeyOf(key)))).toEqual([0, 7])
      expect(statSync(path).size).toBe(sizeBytes)
      // What may be uploaded is a second link to the table, no copy.
      const link = join(deltaDirectory, `restored-${tableFileName(number)}`)
      expect(statSync(link).ino).toBe(statSync(path).ino)
    }
    expect(readdirSync(tableDirectory), 'and nothing else').toHaveLength(files.length)
    expect(readdirSync(deltaDirectory), 'no uncut table either').toHaveLength(files.length)
  })

  it('is one edit in the MANIFEST, in level 0 numbered by age', async () => {
    const { task, handle } = await taskWithTables()
    const range = KeyGroupRange.of(0, 9)
    const { files, meta, tableDirectory } = await restoreOver(range, [handle], task)
    const lastSequence = meta?.lastSequence ?? 0
    writeManifest(tableDirectory, { lastSequence, files })
    const written = readManifest(tableDirectory)
    const name = `MANIFEST-${String(written.manifestNumber).padStart(6, '0')}`
    const path = join(tableDirectory, name)
    const log = readLogRecords(readFileSync(path), path, {
      tolerateTornTail: false,
      damageCode: 'MANIFEST_DAMAGED',
    })
    expect(log.records).toHaveLength(1)
    expect(written.files).toEqual(files.toSorted((a, b) => a.level - b.level))
    expect(written.lastSequence).toBe(lastSequence)
    const inLevel0 = files.filter(({ level }) => level === 0)
    expect(inLevel0).toHaveLength(3)
    const sequences = inLevel0
      .toSorted((a, b) => a.number - b.number)
      .map(({ number }) => {
        const reader = TableReader.open(join(tableDirectory, tableFileName(number)))
        const all = [...reader.entries()].map(({ sequence }) => sequence)
        reader.close()
        return { first: Math.min(...all), last: Math.max(...all) }
      })
    for (const [index, { first }] of sequences.entries()) {
      expect(first).toBeGreaterThan(sequences[index - 1]?.last ?? 0)
    }
  })
})

describe('tables that overlap in a level above 0', () => {
  it('are refused before LevelDB sees them, which would abort the process', async () => {
    const task = await StateTask.start({ kind: 'hashmap', policy: DELTAS })
    await task.put(0, KEYS, (key) => `one ${key}`)
    const one = await task.checkpoint(CheckpointOptions.fullCheckpoint())
    await task.put(0, KEYS, (key) => `two ${key}`)
    const id = task.takeCheckpointId()
    const options = CheckpointOptions.fullCheckpoint()
    const factory = task.storage.streamFactory(id)
    const two = handleOf(await task.backend.snapshot(id, 0, factory, options))
    const sharedState = [...one.handle.sharedState, ...two.sharedState]
    expect(sharedState.map(({ level }) => level)).toEqual([1, 1])
    const impossible = new IncrementalRemoteKeyedStateHandle({ ...two, sharedState })
    for (const keyGroupRange of [WHOLE_RANGE, KeyGroupRange.of(3, 12)]) {
      const opened = task.open([impossible], { kind: 'leveldb', keyGroupRange })
      expect(await rejection(opened)).toMatchObject({ code: 'INVARIANT_BROKEN' })
      expect(readdirSync(task.directory), 'nothing is left').toEqual([])
    }
    await task.open([two], { kind: 'leveldb' })
    expect(task.values(0, 2)).toEqual(['two 0', 'two 1'])
  })
})
