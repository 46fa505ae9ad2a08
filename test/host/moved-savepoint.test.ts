/** A savepoint that somebody moved in among the checkpoints of the job: it is none of them, and stands in nobody's way. */
import { Buffer } from 'node:buffer'
import { expect, it } from 'vitest'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { attempt, begun } from './attempt.js'
import { namedObjects, storedObjects } from './stored-objects.js'

async function withMovedSavepoint() {
  const first = await begun()
  const { coordinator, objectStore } = first
  await coordinator.triggerCheckpoint(null)
  await coordinator.triggerSavepoint(null, { folder: 'saved' })
  await coordinator.close()
  for await (const { key } of objectStore.list('saved/')) {
    const chunks: Uint8Array[] = []
    for await (const chunk of await objectStore.get(key)) chunks.push(chunk)
    const moved = key.replace('saved/', 'job/chk-2/')
    await objectStore.put(moved, bodyOfBytes(Buffer.concat(chunks)))
    await objectStore.delete([key])
  }
  return objectStore
}

it('is said to be one, and where it belongs', async () => {
  const objectStore = await withMovedSavepoint()
  await expect(attempt({ objectStore }).begin()).rejects.toMatchObject({
    code: 'METADATA_DAMAGED',
    message: expect.stringMatching(/checkpoint 2 of job job is a savepoint/),
  })
})

it('is passed over when that is asked for, and deleting goes on as ever', async () => {
  const objectStore = await withMovedSavepoint()
  const { begin, coordinator, storage, warnings } = attempt({ objectStore })
  expect(await begin({ walkBack: true })).toMatchObject({ checkpoint: { checkpointId: 1 } })
  warnings.length = 0
  for (let id = 3; id <= 8; id++) await coordinator.triggerCheckpoint(null)
  expect(warnings).toEqual([])
  expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
})
