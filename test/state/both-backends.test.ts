import { expect, it } from 'vitest'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { runModel } from '../conformance/keyed-state/model.js'
import type { StateBackendFactory } from '../conformance/keyed-state/task.js'

const factories: StateBackendFactory[] = [
  (options) => new LevelDBStateBackend(options),
  ({ memory }) => new HashMapStateBackend({ memory }),
]

const given = process.env['STATE_MODEL_SEED']
const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)

it(`a snapshot of either backend restores into either, seed ${seed}`, async () => {
  try {
    await runModel((restores) => factories[restores % 2] as StateBackendFactory, {
      seed,
      operations: 1500,
    })
  } catch (error) {
    expect.unreachable(
      `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n` +
        `Replay with: STATE_MODEL_SEED=${seed} npx vitest run test/state/both-backends.test.ts`,
    )
  }
})
