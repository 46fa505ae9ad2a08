import { expect, it } from 'vitest'
import { runModel } from './model.js'
import type { StateBackendFactory } from './task.js'

/** Enough for several restores, hundreds of generations and many evictions in a few seconds. */
const OPERATIONS = 1500
const RUNS = 2

export function modelTests(factory: StateBackendFactory): void {
  const given = process.env['STATE_MODEL_SEED']
  const seeds =
    given === undefined
      ? Array.from({ length: RUNS }, () => Math.floor(Math.random() * 2 ** 31))
      : [Number(given)]
  it.each(seeds)('five states are as plain objects are, seed %d', async (seed) => {
    try {
      await runModel(() => factory, { seed, operations: OPERATIONS })
    } catch (error) {
      expect.unreachable(
        `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n` +
          `Replay with: STATE_MODEL_SEED=${seed} npx vitest run test/state`,
      )
    }
  })
}
