/** A job with its checkpoints in a directory, killed again and again. `CRASH_ROUNDS` is the number of kills, all together. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../support/state-task.js'
import { killAgainAndAgain } from './killed-job.js'

const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 100) / 2

describe.each(['leveldb', 'hashmap'] as const)('a killed process, %s', (kind) => {
  it(
    'comes back with exactly the state of its last completed checkpoint, and leaves nothing unexplained',
    { timeout: 60_000 + ROUNDS * 20_000 },
    async () => {
      const storage = join(temporaryDirectory(), 'storage')
      // Else there is none to look into when the first process dies before it writes anything.
      mkdirSync(storage)
      const newestId = await killAgainAndAgain({ kind, storage }, ROUNDS)
      expect(newestId, 'the job made progress').toBeGreaterThan(ROUNDS)
    },
  )
})
