/**
 * The contract of `KeyedStateBackend` and of the five kinds of state as tests: a function of a factory, to be run on every state
 * backend, ours or yours. What is promised is written in `src/state/state.ts` and `src/state/keyed-state-backend.ts`.
 *
 * The factory makes a state backend over an empty directory with a memory budget in bytes; the suite closes what it creates and
 * removes the directories.
 */
import { describe } from 'vitest'
import { aggregateTests } from './keyed-state/aggregate-tests.js'
import { backendTests } from './keyed-state/backend-tests.js'
import { bufferTests } from './keyed-state/buffer-tests.js'
import { isolationTests } from './keyed-state/isolation-tests.js'
import { keyTests } from './keyed-state/key-tests.js'
import { layerTests } from './keyed-state/layer-tests.js'
import { listTests } from './keyed-state/list-tests.js'
import { mapScanTests } from './keyed-state/map-scan-tests.js'
import { mapTests } from './keyed-state/map-tests.js'
import { modelTests } from './keyed-state/model-tests.js'
import { spillingTests } from './keyed-state/spilling-tests.js'
import type { StateBackendFactory } from './keyed-state/task.js'
import { valueTests } from './keyed-state/value-tests.js'

export type { StateBackendFactory } from './keyed-state/task.js'

const parts: [string, (factory: StateBackendFactory) => void][] = [
  ['ValueState', valueTests],
  ['ListState', listTests],
  ['MapState', mapTests],
  ['scans of MapState', mapScanTests],
  ['ReducingState and AggregatingState', aggregateTests],
  ['keys', keyTests],
  ['the backend', backendTests],
  ['isolation', isolationTests],
  ['spilling', spillingTests],
  ['the layers of the buffer', layerTests],
  ['a full buffer', bufferTests],
  ['a model', modelTests],
]

/** Registers the suite under `name` with vitest. */
export function keyedStateBackendSuite(name: string, factory: StateBackendFactory): void {
  describe(`${name} keeps the contract of KeyedStateBackend`, () => {
    describe.each(parts)('%s', (_, register) => {
      register(factory)
    })
  })
}
