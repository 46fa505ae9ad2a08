/** A chain as long as the default policy lets it grow. */
import { expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { DEFAULT_REBASE_POLICY } from '../../src/checkpoint/rebase-policy.js'
import { StateTask } from '../support/state-task.js'

it('is restored as it is, base tables of level 0 beside it', async () => {
  const task = await StateTask.start()
  const long = 'x'.repeat(900)
  // About 3 MiB several times over the same keys, so that LevelDB has tables in level 0.
  for (let round = 0; round < 2; round++) {
    await task.put(0, 3000, (key) => `${round} ${key} ${long}`)
    await task.checkpoint()
  }
  const full = await task.checkpoint(CheckpointOptions.fullCheckpoint())
  expect(full.handle.sharedState.some(({ role, level }) => role === 'base' && level === 0)).toBe(
    true,
  )
  let handle = full.handle
  const deltas = (): number => handle.sharedState.filter(({ role }) => role === 'delta').length
  for (let round = 0; deltas() < DEFAULT_REBASE_POLICY.deltaCountMax; round++) {
    await task.put(round * 3, round * 3 + 3, (key) => `later ${key}`)
    handle = (await task.checkpoint()).handle
  }
  await task.restore(handle)
  const next = await task.checkpoint()
  expect(next.kind).toBe('none')
})
