/**
 * The sequences we count are LevelDB's: after random work, with checkpoints off, the local deltas are held entry for entry against what
 * LevelDB itself wrote into its logs and tables.
 *
 * A failing run prints its seed: `TEST_SEED=<seed> npx vitest run test/model/sequences.test.ts`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { ValueType } from '../../src/table/internal-key.js'
import { readLogRecords } from '../../src/table/log-format.js'
import { readManifest, tableFileName } from '../../src/table/manifest.js'
import { TableReader } from '../../src/table/table-reader.js'
import { readWriteBatch } from '../../src/table/write-batch.js'
import { SeededRandom, seedOfRun } from '../support/random.js'
import { handleOf, StateTask, statesOf } from '../support/state-task.js'
import { EMPTY_MODEL, ModelWriter } from './state-model.js'

/** A compaction may remove a file between the reading of the MANIFEST and of the file. */
const READ_ATTEMPTS = 100

/** Sequence to what was written under it, as one string. */
type Entries = Map<number, string>

function describeEntry(type: ValueType, key: Buffer, value: Buffer): string {
  const kind = type === ValueType.Value ? 'put' : 'delete'
  return `${kind} ${key.toString('latin1')} ${value.toString('latin1')}`
}

function tableEntries(path: string, entries: Entries): void {
  const reader = TableReader.open(path)
  try {
    for (const { sequence, type, userKey, value } of reader.entries()) {
      const text = describeEntry(type, userKey, value)
      const known = entries.get(sequence)
      // The same entry may be in two tables of a database that was restored.
      if (known !== undefined) expect(text, `sequence ${sequence}`).toBe(known)
      entries.set(sequence, text)
    }
  } finally {
    reader.close()
  }
}

function deltasOf(task: StateTask): Entries {
  const entries: Entries = new Map()
  const directory = join(task.incarnation, 'tables')
  for (const name of readdirSync(directory)) tableEntries(join(directory, name), entries)
  return entries
}

function logEntries(directory: string): Entries {
  const entries: Entries = new Map()
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.log'))) {
    const path = join(directory, name)
    const { records } = readLogRecords(readFileSync(path), path, {
      tolerateTornTail: false,
      damageCode: 'LOG_DAMAGED',
    })
    for (const record of records) {
      const batch = readWriteBatch(record)
      let sequence = batch.sequence
      for (const { type, key, value } of batch.operations()) {
        entries.set(sequence++, describeEntry(type, key, value))
      }
    }
  }
  return entries
}

async function levelDBTables(directory: string): Promise<Entries> {
  for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
    try {
      const entries: Entries = new Map()
      for (const { number } of readManifest(directory).files) {
        tableEntries(join(directory, tableFileName(number)), entries)
      }
      return entries
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'STORE_FAILED')) throw error
      await turn()
    }
  }
  throw new Error('compactions never paused')
}

describe('sequences', () => {
  const seed = seedOfRun()

  it(`are LevelDB's, entry for entry, also after a restore, seed ${seed}`, async () => {
    const random = new SeededRandom(seed)
    const task = await StateTask.start({
      policy: { smallStateBytes: 2 ** 30, deltaCountMax: 1000 },
    })
    statesOf(task.backend)
    const writer = new ModelWriter(EMPTY_MODEL, random)
    const seen = { logs: 0, tables: 0, restored: 0 }
    for (let round = 0; round < 15; round++) {
      const writes = random.below(600)
      for (let index = 0; index < writes; index++) {
        if (task.backend.needsDrain) await task.backend.drain()
        writer.write(task.backend, task.states, random.chance(0.3))
      }
      const handle = handleOf(await task.snapshot())
      if (round % 5 === 4) {
        // What was restored has kept its sequences, and what follows goes on from them.
        await task.restore(handle)
        statesOf(task.backend)
        seen.restored++
        continue
      }
      if (round % 5 < 2) continue
      // A quiet point: what the sweeper left behind is in no generation yet.
      const directory = join(task.incarnation, 'db')
      const deltas = deltasOf(task)
      for (const [sequence, text] of logEntries(directory)) {
        expect(deltas.get(sequence), `log, sequence ${sequence}`).toBe(text)
        seen.logs++
      }
      for (const [sequence, text] of await levelDBTables(directory)) {
        expect(deltas.get(sequence), `table, sequence ${sequence}`).toBe(text)
        seen.tables++
      }
      const sequences = [...deltas.keys()]
      expect(Math.max(...sequences)).toBe(handle.sharedState.at(-1)?.largestSequence)
    }
    expect(seen.logs).toBeGreaterThan(1000)
    expect(seen.tables).toBeGreaterThan(1000)
    expect(seen.restored).toBe(3)
  })
})
