/**
 * The records of a checkpoint in a file that another language reads: a slot for each record by its number, key and value side by side;
 * zeros where it was removed. So Flink is given the same keys and values, in the order in which ours were written.
 */
import { Buffer } from 'node:buffer'
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { KeyGroupRange, LevelDBStateBackend, MemoryBudget, stringKey } from '../../src/index.js'
import { KEY_BYTES, MAX_PARALLELISM, RECORD_BYTES, VALUE_BYTES } from '../rescale/records.js'
import {
  MEMORY_BYTES,
  OPERATOR_ID,
  payloadState,
  readSources,
  storageOf,
} from '../rescale/sources.js'

/** The end of a key is the record's number. */
const NUMBER_DIGITS = 32

/** Writes the `records` of the checkpoint in `sourceDirectory` to `path`, by way of `workDirectory`. */
export async function writeRecords(
  sourceDirectory: string,
  workDirectory: string,
  records: number,
  path: string,
): Promise<void> {
  const { handles } = readSources(sourceDirectory)
  const stateBackend = new LevelDBStateBackend({
    directory: workDirectory,
    memory: new MemoryBudget(MEMORY_BYTES),
  })
  await using backend = await stateBackend.createKeyedStateBackend({
    operatorId: OPERATOR_ID,
    keySerializer: stringKey,
    maxParallelism: MAX_PARALLELISM,
    keyGroupRange: KeyGroupRange.of(0, MAX_PARALLELISM - 1),
    stateHandles: handles,
    checkpointStorage: storageOf(sourceDirectory),
  })
  const state = backend.getState(payloadState)
  const slot = Buffer.alloc(RECORD_BYTES)
  const file = openSync(path, 'w')
  try {
    ftruncateSync(file, records * RECORD_BYTES)
    for await (const key of backend.getKeys(payloadState.name)) {
      backend.setCurrentKey(key)
      slot.write(key, 'latin1')
      slot.set(state.value() ?? new Uint8Array(VALUE_BYTES), KEY_BYTES)
      const record = Number(key.slice(KEY_BYTES - NUMBER_DIGITS))
      writeSync(file, slot, 0, RECORD_BYTES, record * RECORD_BYTES)
    }
  } finally {
    closeSync(file)
  }
}
