import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { numberKey } from '../../src/record/key-serializer.js'
import type { KeyedStateBackend } from '../../src/state/keyed-state-backend.js'
import { MAX_PARALLELISM, SMALL_MEMORY_BYTES, WHOLE_RANGE } from '../support/state-task.js'

/** A backend that works in `directory`; the caller's to close. */
export function createNumberBackend(
  directory: string,
  operatorId = 'operator',
): Promise<KeyedStateBackend<number>> {
  const stateBackend = new LevelDBStateBackend({ directory, memory: SMALL_MEMORY_BYTES })
  return stateBackend.createKeyedStateBackend({
    operatorId,
    keySerializer: numberKey,
    maxParallelism: MAX_PARALLELISM,
    keyGroupRange: WHOLE_RANGE,
  })
}
