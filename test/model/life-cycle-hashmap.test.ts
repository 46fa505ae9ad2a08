/** Random lives of a job whose state is in memory, restored into LevelDB now and then. How to replay a failure: `life-cycle/runs.ts`. */
import { describe, expect, it } from 'vitest'
import { runLives } from './life-cycle/runs.js'

describe('lives of a job in memory', () => {
  it(
    'restore exactly what was completed, and leave nothing behind',
    { timeout: 900_000 },
    async () => {
      const lives = { name: 'life-cycle-hashmap', runs: 500, levelDBShare: 0.06, faults: false }
      expect(await runLives(lives), 'what never happened').toEqual([])
    },
  )
})
