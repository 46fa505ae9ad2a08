/** A coordinator's operators keep their maximum parallelism: any parallelism below it may change. */
import { expect, it } from 'vitest'
import { attempt, OPERATOR_ID } from './attempt.js'

it.each([1, 127, 129])(
  'cannot change from 128 to %i: the error says so',
  async (maxParallelism) => {
    const first = attempt()
    await first.begin()
    await first.coordinator.triggerCheckpoint(null)
    await first.coordinator.close()
    const { objectStore } = first
    const second = attempt({ objectStore })
    await second.coordinator.restore()
    const start = (max: number): void =>
      second.coordinator.start([{ operatorId: OPERATOR_ID, maxParallelism: max, tasks: [] }])
    expect(() => start(maxParallelism)).toThrow(
      expect.objectContaining({
        code: 'RESTORE_MISMATCH',
        kind: 'invalid',
      }) as Error,
    )
    expect(() => start(maxParallelism)).toThrow(/maximum parallelism .*128/)
    // The attempt goes on with the old one, at another parallelism, and with operators that are new.
    const tasks = first.tasks.slice(0, 1)
    const added = { operatorId: 'new', maxParallelism, tasks: [] }
    second.coordinator.start([{ operatorId: OPERATOR_ID, maxParallelism: 128, tasks }, added])
    expect(second.coordinator.canTrigger).toBe(true)
  },
)
