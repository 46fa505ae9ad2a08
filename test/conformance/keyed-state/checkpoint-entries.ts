/** Reads what is in a checkpoint's tables, entry by entry, without restoring it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IncrementalRemoteKeyedStateHandle } from '../../../src/checkpoint/keyed-state-handle.js'
import type { CheckpointStorage } from '../../../src/storage/checkpoint-storage.js'
import { ValueType } from '../../../src/table/internal-key.js'
import { TableReader, type TableEntry } from '../../../src/table/table-reader.js'

/** The entries that count, by user key (hexadecimal): of every key the newest, unless it is a deletion. */
export async function liveEntries(
  storage: CheckpointStorage,
  handle: IncrementalRemoteKeyedStateHandle,
): Promise<TableEntry[]> {
  const newest = new Map<string, TableEntry>()
  const directory = await mkdtemp(join(tmpdir(), 'checkpoint-entries-'))
  try {
    for (const [index, { state }] of handle.sharedState.entries()) {
      const path = join(directory, `${index}.ldb`)
      await storage.download(state, path)
      const reader = TableReader.open(path)
      for (const entry of reader.entries()) {
        const key = entry.userKey.toString('hex')
        const known = newest.get(key)
        if (known === undefined || known.sequence < entry.sequence) newest.set(key, entry)
      }
      reader.close()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  return [...newest.values()].filter((entry) => entry.type === ValueType.Value)
}
