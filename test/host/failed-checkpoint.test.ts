/** Checkpoints that end without being completed: what stays in storage, who is told, and when the job fails. */
import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { failing } from '../support/fault-object-store.js'
import { begun, settle, statuses, TIMEOUT_MS } from './attempt.js'
import { gate } from './fake-task.js'
import { namedObjects, storedObjects } from './stored-objects.js'

describe('a failed checkpoint', () => {
  it('is aborted when a task declines: the others are stopped, and nothing of it stays', async () => {
    const { coordinator, objectStore, failures, task } = await begun({
      tolerableFailedCheckpoints: undefined,
    })
    await coordinator.triggerCheckpoint(null)
    const before = await storedObjects(objectStore)
    const declining = gate()
    task(1).beforeAcknowledge = () => declining.promise
    const finished = coordinator.triggerCheckpoint(null)
    await settle()
    expect(await storedObjects(objectStore), 'task a has uploaded').not.toEqual(before)
    declining.fail(new Error('no'))
    expect(await finished).toMatchObject({ status: 'aborted', checkpointId: 2, reason: 'declined' })
    expect(task(0).signals.at(-1)?.aborted).toBe(true)
    expect(await storedObjects(objectStore)).toEqual(before)
    expect(failures).toHaveLength(1)
    expect(failures[0]).toMatchObject({
      code: 'CHECKPOINT_FAILED',
      details: { checkpointId: 2, reason: 'declined' },
    })
  })

  it('is aborted when it takes too long; what comes late is removed', async () => {
    const { coordinator, objectStore, clock, told, events, task } = await begun()
    const late = gate()
    task(1).beforeAcknowledge = (id) => (id === 1 ? late.promise : Promise.resolve())
    const finished = coordinator.triggerCheckpoint(null)
    await clock.advance(TIMEOUT_MS - 1)
    expect(events).toEqual([])
    await clock.advance(1)
    expect(await finished).toMatchObject({
      status: 'aborted',
      reason: 'expired',
      cause: undefined,
      durationMs: TIMEOUT_MS,
    })
    expect(await storedObjects(objectStore)).toEqual([])
    expect(told).toContain('b aborted 1')

    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 2 })
    const complete = await storedObjects(objectStore)
    late.open()
    await coordinator.close()
    expect(await storedObjects(objectStore)).toEqual(complete)
    expect(statuses(events)).toEqual(['1 expired', '2'])
    expect(clock.sleepers).toBe(0)
  })

  it('a late acknowledgement takes nothing that another checkpoint needs', async () => {
    const { coordinator, storage, objectStore, clock, events, task } = await begun()
    await coordinator.triggerCheckpoint(null)
    const late = gate()
    task(1).beforeAcknowledge = (id) => (id === 2 ? late.promise : Promise.resolve())
    const expiring = coordinator.triggerCheckpoint(null)
    await clock.advance(TIMEOUT_MS)
    await expiring
    const pending = gate()
    task(1).beforeAcknowledge = () => pending.promise
    const third = coordinator.triggerCheckpoint(null)
    late.open()
    await settle()
    expect(await storedObjects(objectStore)).toEqual(
      expect.arrayContaining(await namedObjects(storage)),
    )
    pending.open()
    await third
    expect(statuses(events)).toEqual(['1', '2 expired', '3'])
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
  })

  it('is tolerated as often in a row as is said; a success in between starts anew', async () => {
    const { coordinator, failures, events, task } = await begun({ tolerableFailedCheckpoints: 1 })
    task(0).beforeAcknowledge = (id) =>
      [1, 3, 4].includes(id) ? Promise.reject(new Error('no')) : Promise.resolve()
    for (let count = 0; count < 3; count++) await coordinator.triggerCheckpoint(null)
    expect(failures).toEqual([])
    await coordinator.triggerCheckpoint(null)
    expect(failures).toHaveLength(1)
    expect(statuses(events)).toEqual(['1 declined', '2', '3 declined', '4 declined'])
  })

  it('H3: does not exist when writing _metadata failed before it was done', async () => {
    const { coordinator, storage, objectStore, told } = await begun()
    await coordinator.triggerCheckpoint(null)
    const complete = await storedObjects(objectStore)
    objectStore.plan = failing('putIfAbsent', '_metadata')
    const event = await coordinator.triggerCheckpoint(null)
    objectStore.heal()
    expect(event).toMatchObject({ status: 'aborted', checkpointId: 2, reason: 'not-published' })
    expect(told).toContain('a aborted 2')
    expect(await storedObjects(objectStore)).toEqual(complete)
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 3 })
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
  })

  it('D5: stays whole when writing _metadata failed after it was done, until a later one is completed', async () => {
    const { coordinator, storage, objectStore, told } = await begun()
    await coordinator.triggerCheckpoint(null)
    objectStore.plan = failing('putIfAbsent', '_metadata', 'after')
    const event = await coordinator.triggerCheckpoint(null)
    objectStore.heal()
    expect(event).toMatchObject({ status: 'aborted', checkpointId: 2, reason: 'not-published' })
    expect(told).toContain('a aborted 2')
    expect(await storage.listCheckpoints()).toEqual([1, 2])
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 3 })
    expect(await storage.listCheckpoints()).toEqual([3])
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
  })

  it('D2: keeps what a _metadata names that may be there and cannot be deleted, until it can', async () => {
    const { coordinator, storage, objectStore, warnings, events } = await begun()
    await coordinator.triggerCheckpoint(null)
    objectStore.plan = (operation, key) => {
      if (operation === 'putIfAbsent') return 'after'
      return operation === 'delete' && key.includes('chk-2/') ? 'before' : undefined
    }
    await coordinator.triggerCheckpoint(null)
    expect(await storage.listCheckpoints()).toEqual([1, 2])
    objectStore.plan = failing('delete', 'chk-2/')
    await coordinator.triggerCheckpoint(null)
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
    expect(await storage.listCheckpoints()).toEqual([2, 3])
    expect(warnings).toHaveLength(1)
    objectStore.heal()
    await coordinator.triggerCheckpoint(null)
    expect(await storage.listCheckpoints()).toEqual([4])
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
    expect(statuses(events)).toEqual(['1', '2 not-published', '3', '4'])
  })

  it('deletes nothing of what somebody else published under its id, and goes on with the next', async () => {
    const { coordinator, storage, objectStore } = await begun({ tolerableFailedCheckpoints: 1 })
    const factory = storage.streamFactory(1)
    await factory.write('exclusive', bodyOfBytes(Buffer.from('theirs')))
    await storage.writeMetadata(1, Buffer.from('theirs'))
    const theirs = await storedObjects(objectStore)
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({
      status: 'aborted',
      reason: 'not-published',
      cause: expect.objectContaining({ code: 'OBJECT_EXISTS' }) as unknown,
    })
    expect(await storedObjects(objectStore)).toEqual(theirs)
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 2 })
    expect(await storedObjects(objectStore)).toEqual(expect.arrayContaining(theirs))
  })

  it('counts no failure when the coordinator is closed, and leaves nothing', async () => {
    const { coordinator, objectStore, failures, events, task } = await begun({
      tolerableFailedCheckpoints: undefined,
    })
    const never = gate()
    task(1).beforeAcknowledge = () => never.promise
    const finished = coordinator.triggerCheckpoint(null)
    await settle()
    const closed = coordinator.close()
    expect(task(0).signals.at(-1)?.aborted).toBe(true)
    never.fail(new Error('aborted'))
    await closed
    expect(await finished).toMatchObject({ status: 'aborted', reason: 'closed' })
    expect(failures).toEqual([])
    expect(statuses(events)).toEqual(['1 closed'])
    expect(await storedObjects(objectStore)).toEqual([])
  })
})
