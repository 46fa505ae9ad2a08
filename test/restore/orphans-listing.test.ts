/** Listings beside a running job that miss its newest checkpoint: what was there is deleted meanwhile, and what took its place not shown. */
import { expect, it } from 'vitest'
import { deleteOrphans, findOrphans } from '../../src/restore/orphans.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import type { ObjectInfo } from '../../src/storage/object-store.js'
import { ManualClock } from '../support/manual-clock.js'
import { publish, putObjects, sharedName } from './orphans-fixture.js'

/** Lists as a directory is read: the names first, then each, where it still is. */
class SlowListing extends MemoryObjectStore {
  betweenNamesAndObjects: (prefix: string) => Promise<void> = () => Promise.resolve()

  override async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    const names = new Set<string>()
    for await (const { key } of super.list(prefix)) names.add(key)
    await this.betweenNamesAndObjects(prefix)
    for await (const info of super.list(prefix)) if (names.has(info.key)) yield info
  }
}

it('are no sign that there is no checkpoint: a table that all checkpoints name is no orphan', async () => {
  const clock = new ManualClock()
  const store = new SlowListing({ clock })
  const storage = new CheckpointStorage(store, { jobId: 'job' })
  const table = sharedName(1)
  await putObjects(store, ['epochs/1', table])
  await publish(store, 1, [table])
  const dayMs = 24 * 60 * 60 * 1000
  await clock.advance(dayMs)

  let newest = 1
  let missing = false
  const completeNext = async (prefix: string): Promise<void> => {
    if (prefix !== 'job/chk-' || !missing) return
    missing = false
    await publish(store, newest + 1, [table])
    await store.delete([`job/chk-${newest}/_metadata`])
    newest++
  }
  store.betweenNamesAndObjects = completeNext

  missing = true
  const report = await findOrphans(storage, { clock })
  expect(report.checkpointIds).toEqual([2])
  expect(report.objects.find(({ location }) => location === table)).toMatchObject({ class: 'live' })
  // As one that was made while a listing missed it.
  const changed = {
    ...report,
    objects: report.objects.map((each) => ({ ...each, class: 'orphan' as const })),
  }
  missing = true
  await deleteOrphans(storage, changed)
  expect(newest).toBe(3)
  expect(await storage.listCheckpoints()).toEqual([3])
  const left: string[] = []
  for await (const { location } of storage.listObjects()) left.push(location)
  expect(left).toContain(table)
})
