/** Random lives of a job on storage that fails: before, after, half-way, slowly. How to replay a failure: `life-cycle/runs.ts`. */
import { describe, expect, it } from 'vitest'
import { runLives } from './life-cycle/runs.js'

describe('lives of a job on storage that fails', () => {
  it(
    'lose no completed checkpoint, and no object that one needs',
    { timeout: 900_000 },
    async () => {
      const lives = { name: 'life-cycle-faults', runs: 320, levelDBShare: 0.25, faults: true }
      expect(await runLives(lives), 'what never happened').toEqual([])
    },
  )
})
