/** What storage holds, and what the checkpoints in it name. */
import { decodeCheckpointMetadata } from '../../src/checkpoint/checkpoint-metadata.js'
import type { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import type { ObjectStore } from '../../src/storage/object-store.js'

/** Keys of everything but the mark of the attempt that runs the job. */
export async function storedObjects(store: ObjectStore): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('')) if (!key.includes('/epochs/')) keys.push(key)
  return keys.sort()
}

/** Keys of everything that the checkpoints in storage consist of, `_metadata` included. */
export async function namedObjects(storage: CheckpointStorage): Promise<string[]> {
  const keys = new Set<string>()
  for (const id of await storage.listCheckpoints()) {
    keys.add(`${storage.jobId}/chk-${id}/_metadata`)
    const { operators } = decodeCheckpointMetadata(await storage.readMetadata(id), `chk-${id}`)
    for (const { keyedStateHandle } of operators.flatMap(({ subtasks }) => subtasks)) {
      const { shared = [], exclusive = [] } = keyedStateHandle?.objects() ?? {}
      for (const location of [...shared, ...exclusive]) keys.add(`${storage.jobId}/${location}`)
    }
  }
  return [...keys].sort()
}
