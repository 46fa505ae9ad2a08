/** The operators that are started are those whose state was restored; and the calls of a coordinator have an order. */
import { describe, expect, it } from 'vitest'
import { attempt, begun, OPERATOR_ID } from './attempt.js'
import { storedObjects } from './stored-objects.js'

async function afterCheckpoint() {
  const first = await begun()
  await first.coordinator.triggerCheckpoint(null)
  await first.coordinator.close()
  const { objectStore } = first
  const second = attempt({ objectStore })
  await second.coordinator.restore()
  const renamed = [{ operatorId: 'renamed', maxParallelism: 128, tasks: first.tasks }]
  return { objectStore, coordinator: second.coordinator, renamed }
}

describe('an operator with state in the restored checkpoint', () => {
  it('must be started: renamed, it would begin empty and its old state be deleted', async () => {
    const { objectStore, coordinator, renamed } = await afterCheckpoint()
    const before = await storedObjects(objectStore)
    expect(() => coordinator.start(renamed)).toThrow(
      expect.objectContaining({
        code: 'RESTORE_MISMATCH',
        details: { operatorId: OPERATOR_ID },
      }) as Error,
    )
    expect(coordinator.canTrigger).toBe(false)
    expect(await storedObjects(objectStore)).toEqual(before)
  })

  it('may be left out where that is said', async () => {
    const { coordinator, renamed } = await afterCheckpoint()
    coordinator.start(renamed, { allowNonRestoredState: true })
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
  })
})

describe('a call out of its order', () => {
  const misuse = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error

  it('is an error of the caller, and changes nothing', async () => {
    const { coordinator } = attempt()
    expect(() => coordinator.start([])).toThrow(misuse)
    expect(() => coordinator.triggerCheckpoint(null)).toThrow(misuse)
    await coordinator.restore()
    await expect(coordinator.restore()).rejects.toThrow(misuse)
    coordinator.start([])
    expect(() => coordinator.start([])).toThrow(misuse)
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
    await coordinator.close()
    expect(() => coordinator.triggerSavepoint(null)).toThrow(misuse)
  })
})
