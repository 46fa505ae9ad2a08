/** Scans that are suspended while what they have read goes out of date. */
import { expect, it } from 'vitest'
import { StateTask } from '../support/state-task.js'

it('a scan of a spilled map yields what is current, however much is written meanwhile', async () => {
  const task = await StateTask.start()
  const { map } = task.states
  task.backend.setCurrentKey(1)
  for (let key = 0; key < 300; key++) map.put(key, 'old')
  await task.checkpoint()
  await task.restore((await task.checkpoint()).handle)
  const states = task.states
  task.backend.setCurrentKey(1)
  const seen = new Map<number, string>()
  let first = true
  for await (const [key, text] of states.map.entries()) {
    seen.set(key, text)
    if (!first) continue
    first = false
    states.map.put(299, 'new')
    for (let other = 1000; other < 40_000; other++) {
      if (task.backend.needsDrain) await task.backend.drain()
      task.backend.setCurrentKey(other)
      states.value.update(`${other} `.repeat(60))
    }
    task.backend.setCurrentKey(1)
  }
  expect(states.map.get(299)).toBe('new')
  expect(seen.get(299)).toBe('new')
})
