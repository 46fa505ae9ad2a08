/** Storage that refuses to delete single objects, for ever: they stay, and what comes after them goes all the same. */
import { describe, expect, it } from 'vitest'
import { SharedStateRegistry } from '../../src/checkpoint/shared-state-registry.js'
import { CheckpointsCleaner } from '../../src/host/checkpoints-cleaner.js'
import { CompletedCheckpointStore } from '../../src/host/completed-checkpoint-store.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { failing, FaultObjectStore } from '../support/fault-object-store.js'
import { begun } from './attempt.js'
import { namedObjects, storedObjects } from './stored-objects.js'

describe('what can never be deleted', () => {
  it('of checkpoints keeps what it names, and no later table', async () => {
    const { coordinator, objectStore, storage } = await begun()
    objectStore.plan = failing('delete', 'chk-2/_metadata')
    for (let id = 1; id <= 40; id++) await coordinator.triggerCheckpoint(null)
    expect(await storage.listCheckpoints()).toEqual([2, 40])
    const named = await namedObjects(storage)
    expect(await storedObjects(objectStore)).toEqual(named)
  })

  it('of checkpoints keeps what it names, and no later table, also after a restart', async () => {
    const first = await begun({ retainedCheckpointsMax: 2 })
    for (let id = 1; id <= 4; id++) await first.coordinator.triggerCheckpoint(null)
    await first.coordinator.close()
    const { objectStore } = first
    const { coordinator, storage } = await begun({ objectStore })
    objectStore.plan = failing('delete', 'chk-3/')
    for (let id = 5; id <= 40; id++) await coordinator.triggerCheckpoint(null)
    expect(await storage.listCheckpoints()).toEqual([3, 40])
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
  })

  it('of state is asked for again with few others, however many there are', async () => {
    const { coordinator, objectStore, storage, warnings } = await begun({ rebaseEvery: 1 })
    await coordinator.triggerCheckpoint(null)
    const named = await namedObjects(storage)
    const undeletable = named.find((key) => key.includes('/shared/'))
    if (undeletable === undefined) throw new Error('a checkpoint has tables')
    let most = 0
    objectStore.plan = (operation, keys) => {
      if (operation !== 'delete') return undefined
      most = Math.max(most, keys.split(' ').length)
      return keys.includes(undeletable) ? 'before' : undefined
    }
    for (let id = 2; id <= 400; id++) await coordinator.triggerCheckpoint(null)
    expect(most).toBeLessThanOrEqual(1000)
    expect((await storedObjects(objectStore)).length).toBeLessThanOrEqual(1000 + named.length)
    expect(warnings.length).toBe(399)
  })
})

it('a hundred checkpoints that can never be deleted keep no others from going, and hold up no cleaning', async () => {
  const objectStore = new FaultObjectStore(new MemoryObjectStore())
  const storage = new CheckpointStorage(objectStore, { jobId: 'job' })
  const registry = new SharedStateRegistry()
  const cleaner = new CheckpointsCleaner({ storage, registry, onWarning: () => undefined })
  const others = Array.from({ length: 50 }, (_, index) => 101 + index)
  for (let id = 1; id <= 150; id++) cleaner.condemn(id, 'subsumed')
  for (const id of others) await storage.writeMetadata(id, new Uint8Array(1))
  objectStore.plan = (operation, key) =>
    operation === 'delete' && Number(/chk-(\d+)/.exec(key)?.[1]) <= 100 ? 'before' : undefined
  const needs = { baseIds: () => [], lowestNeededId: () => 200, mustStay: () => false }
  for (let cleaning = 1; cleaning <= 40; cleaning++) {
    const faults = objectStore.faults
    await cleaner.clean(1, needs)
    expect(objectStore.faults - faults).toBeLessThanOrEqual(3)
  }
  expect(await storage.listCheckpoints()).toEqual([])
})

describe('of 200,000 checkpoints', () => {
  const CHECKPOINTS = 200_000

  it('that are condemned and cannot be deleted a cleaning tells, and does not reject', async () => {
    const storage = new CheckpointStorage(new FaultObjectStore(new MemoryObjectStore()), {
      jobId: 'job',
    })
    const registry = new SharedStateRegistry()
    const cleaner = new CheckpointsCleaner({ storage, registry, onWarning: () => undefined })
    for (let id = 1; id <= CHECKPOINTS; id++) cleaner.condemn(id, 'aborted')
    const needs = { baseIds: () => [], lowestNeededId: () => CHECKPOINTS, mustStay: () => false }
    await expect(cleaner.clean(1, needs)).resolves.toBeUndefined()
  })

  it('all may be retained', () => {
    const storage = new CheckpointStorage(new MemoryObjectStore(), { jobId: 'job' })
    const retainedMax = CHECKPOINTS
    const checkpoints = new CompletedCheckpointStore({
      storage,
      retainedMax,
      onWarning: () => undefined,
    })
    for (let id = 1; id <= CHECKPOINTS; id++) checkpoints.add(id)
    expect(checkpoints.hasToClean).toBe(false)
  })
})
