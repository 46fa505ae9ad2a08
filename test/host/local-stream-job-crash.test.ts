/** Exactly once: the job is killed at every operation on storage and before every batch, and always comes back right. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../support/state-task.js'
import { crashAndComeBack, RECORDS } from './crashing-job.js'

describe('a killed job comes back with every record counted once', () => {
  it.each(['before', 'after'])('whichever operation on storage it dies %s', async (when) => {
    const root = temporaryDirectory()
    let deaths = 0
    for (let deadlyOperation = 1; ; deadlyOperation++) {
      const carriesOutTheLast = when === 'after'
      const crash = { kind: 'hashmap', deadlyOperation, carriesOutTheLast } as const
      if (!(await crashAndComeBack(crash, join(root, `${deadlyOperation}`)))) break
      deaths++
    }
    // Four checkpoints of two subtasks: 2 tables, 2 metas, 1 _metadata each, and the deletions.
    expect(deaths).toBeGreaterThan(4 * 5)
  })

  it('before whichever batch it dies', async () => {
    const root = temporaryDirectory()
    let deaths = 0
    for (let deadlyPosition = 0; deadlyPosition <= RECORDS; deadlyPosition++) {
      const crash = { kind: 'hashmap', deadlyPosition } as const
      if (await crashAndComeBack(crash, join(root, `${deadlyPosition}`))) deaths++
    }
    expect(deaths).toBeGreaterThan(RECORDS / 4)
  })

  it('with state in LevelDB', async () => {
    const root = temporaryDirectory()
    let deaths = 0
    for (let deadlyOperation = 1; ; deadlyOperation += 5) {
      const carriesOutTheLast = deadlyOperation % 2 === 0
      const crash = { kind: 'leveldb', deadlyOperation, carriesOutTheLast } as const
      if (!(await crashAndComeBack(crash, join(root, `${deadlyOperation}`)))) break
      deaths++
    }
    expect(deaths).toBeGreaterThan(4)
  })
})
