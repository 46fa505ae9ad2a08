/** Random lives of a job on LevelDB, restored into memory now and then. How to replay a failure: `life-cycle/runs.ts`. */
import { describe, expect, it } from 'vitest'
import { runLives } from './life-cycle/runs.js'

describe('lives of a job on LevelDB', () => {
  it(
    'restore exactly what was completed, and leave nothing behind',
    { timeout: 900_000 },
    async () => {
      const lives = { name: 'life-cycle-leveldb', runs: 220, levelDBShare: 0.9, faults: false }
      expect(await runLives(lives), 'what never happened').toEqual([])
    },
  )
})
