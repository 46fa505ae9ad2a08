/** Whether a checkpoint could be restored, told without restoring it. */
import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { objectsOf } from '../../src/checkpoint/completed-checkpoint.js'
import { openSnapshot } from '../../src/restore/snapshot-location.js'
import { verifyCheckpoint } from '../../src/restore/verify-checkpoint.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { attempt } from '../host/attempt.js'

/** A checkpoint of twelve tasks, three tables and one meta information each; two tasks name the same table. */
async function checkpointed(inlineThresholdBytes = 0) {
  const objectStore = new FaultObjectStore(new MemoryObjectStore())
  const taskNames = Array.from({ length: 12 }, (_, index) => `task-${index}`)
  const job = attempt({ objectStore, taskNames, rebaseEvery: 100, inlineThresholdBytes })
  await job.begin()
  for (let id = 1; id <= 3; id++) await job.coordinator.triggerCheckpoint(null)
  const { checkpoint, state } = await openSnapshot(objectStore, 'job/chk-3')
  const { shared, exclusive } = objectsOf(checkpoint)
  return { objectStore, checkpoint, state, locations: [...shared, ...exclusive] }
}

describe('verifyCheckpoint', () => {
  it('reads every object once, and tells how much that was', async () => {
    const { objectStore, checkpoint, state, locations } = await checkpointed()
    const reads: string[] = []
    objectStore.plan = (operation, key) => {
      if (operation === 'get') reads.push(key)
      return undefined
    }
    const progress: number[][] = []
    const onProgress = (read: number, total: number): void => void progress.push([read, total])
    const verified = await verifyCheckpoint(state, checkpoint, { onProgress })
    let bytes = 0
    for await (const { key, sizeBytes } of objectStore.list('job/')) {
      if (locations.some((location) => key === `job/${location}`)) bytes += sizeBytes
    }
    expect(verified).toEqual({ checkpointId: 3, objects: 48, bytes, problems: [] })
    expect(reads.sort()).toEqual(locations.map((location) => `job/${location}`).sort())
    expect(progress).toHaveLength(48)
    expect(progress.at(-1)).toEqual([bytes, bytes])
    expect(progress.map(([read]) => read)).toEqual(
      progress.map(([read = 0]) => read).toSorted((a, b) => a - b),
    )
  })

  it('reads a table that several tasks name once', async () => {
    const { objectStore, checkpoint, state } = await checkpointed()
    const { operators, ...rest } = checkpoint
    const twice = { ...rest, operators: [...operators, ...operators] }
    expect(await verifyCheckpoint(state, twice)).toMatchObject({ objects: 48, problems: [] })
    expect(objectStore.faults).toBe(0)
  })

  it('verifies state that is inline as well', async () => {
    const { checkpoint, state, locations } = await checkpointed(1000)
    expect(locations).toEqual([])
    const verified = await verifyCheckpoint(state, checkpoint)
    expect(verified.objects).toBeGreaterThan(0)
    expect(verified.problems).toEqual([])
  })

  it('names every object that is missing, of another length or with other bytes', async () => {
    const { objectStore, checkpoint, state, locations } = await checkpointed()
    const [missing = '', longer = '', shorter = '', flipped = ''] = locations
    const write = (location: string, text: string) =>
      objectStore.put(`job/${location}`, bodyOfBytes(Buffer.from(text)))
    const { sizeBytes } = await infoOf(objectStore, `job/${flipped}`)
    await objectStore.delete([`job/${missing}`])
    await write(longer, 'x'.repeat(1000))
    await write(shorter, '')
    await write(flipped, 'x'.repeat(sizeBytes))
    const { problems, objects } = await verifyCheckpoint(state, checkpoint)
    expect(objects).toBe(48)
    expect(Object.fromEntries(problems.map(({ location, code }) => [location, code]))).toEqual({
      [missing]: 'OBJECT_MISSING',
      [longer]: 'OBJECT_DAMAGED',
      [shorter]: 'OBJECT_DAMAGED',
      [flipped]: 'OBJECT_DAMAGED',
    })
    for (const { location, message } of problems) expect(message).toContain(location)
  })

  it('rejects when storage fails, which says nothing about the objects', async () => {
    const { objectStore, checkpoint, state, locations } = await checkpointed()
    objectStore.plan = (operation, key) =>
      operation === 'get' && key.endsWith(locations[5] ?? '') ? 'before' : undefined
    await expect(verifyCheckpoint(state, checkpoint)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    })
  })

  it('stops when it is aborted', async () => {
    const { objectStore, checkpoint, state } = await checkpointed()
    const stopping = new AbortController()
    let reads = 0
    objectStore.plan = () => {
      if (++reads === 3) stopping.abort()
      return undefined
    }
    const { signal } = stopping
    await expect(verifyCheckpoint(state, checkpoint, { signal })).rejects.toMatchObject({
      code: 'SNAPSHOT_ABORTED',
    })
    expect(reads).toBeLessThan(48)
  })

  it('verifies a savepoint, wherever it is', async () => {
    const objectStore = new MemoryObjectStore()
    const job = attempt({ objectStore })
    await job.begin()
    await job.coordinator.triggerSavepoint(null, { folder: 'saved' })
    const { checkpoint, state } = await openSnapshot(objectStore, 'saved/_metadata')
    expect(await verifyCheckpoint(state, checkpoint)).toMatchObject({ objects: 4, problems: [] })
    const [location] = objectsOf(checkpoint).shared
    await objectStore.delete([`saved/${location}`])
    const { problems } = await verifyCheckpoint(state, checkpoint)
    expect(problems).toMatchObject([{ location, code: 'OBJECT_MISSING' }])
  })
})

async function infoOf(objectStore: FaultObjectStore, key: string) {
  for await (const info of objectStore.list(key)) return info
  throw new Error(`there is no ${key}`)
}
