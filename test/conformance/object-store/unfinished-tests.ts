import { Buffer } from 'node:buffer'
import { expect, it } from 'vitest'
import type { ObjectStore } from '../../../src/storage/object-store.js'
import {
  body,
  eachTest,
  keysOf,
  readText,
  text,
  unfinishedIn,
  type ObjectStoreFactory,
  type ObjectStoreFixture,
} from './fixture.js'

const badIds = ['', '.', '..', '../job/a', 'job/a', '/job/a', '..\\job\\a', '.pending', 'a\u0000']

export function unfinishedTests(factory: ObjectStoreFactory): void {
  let fixture: ObjectStoreFixture
  let store: ObjectStore
  eachTest(factory, (each) => {
    fixture = each
    store = each.store
  })
  const nothingIsLeft = 'nothing can be left in the store'

  it('are none in an empty store, after puts, and after puts that failed or were aborted', async () => {
    expect(await unfinishedIn(store)).toEqual([])
    await store.put('a', body(3, 1000))
    await store.putIfAbsent('b', Buffer.from('b'))
    await store.putIfAbsent('b', Buffer.from('again'))
    const tooFew = body(3, 1000, () => undefined, 4000)
    await expect(store.put('c', tooFew)).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    const controller = new AbortController()
    const aborting = body(3, 1000, (index) => index === 1 && controller.abort())
    const { signal } = controller
    await expect(store.put('c', aborting, { signal })).rejects.toMatchObject({
      code: 'SNAPSHOT_ABORTED',
    })
    expect(await unfinishedIn(store)).toEqual([])
  })

  it('are told with what they hold and when, are no objects, and are discarded', async ({
    skip,
  }) => {
    skip(fixture.leaveUnfinished === undefined, nothingIsLeft)
    await store.put('job/a', text('kept'))
    const since = (await clockOf(store)) - 1000
    for (const sizeBytes of [0, 7000, 7001]) await fixture.leaveUnfinished?.(sizeBytes)
    const left = await unfinishedIn(store)
    const until = (await clockOf(store)) + 1000
    expect(new Set(left.map(({ id }) => id)).size).toBe(3)
    for (const { lastModifiedMs } of left) {
      expect(lastModifiedMs).toBeGreaterThanOrEqual(since)
      expect(lastModifiedMs).toBeLessThanOrEqual(until)
    }
    const sizes = left.map(({ sizeBytes }) => sizeBytes).sort((a, b) => a - b)
    expect([
      [0, 7000, 7001],
      [0, 0, 0],
    ]).toContainEqual(sizes)
    expect(await keysOf(store, '')).toEqual(['clock', 'job/a'])

    const [first, ...others] = left
    await store.discardUnfinished(first === undefined ? [] : [first.id])
    const ids = (await unfinishedIn(store)).map(({ id }) => id).sort()
    expect(ids).toEqual(others.map(({ id }) => id).sort())
    await store.discardUnfinished([...left.map(({ id }) => id), ...ids])
    await store.discardUnfinished(ids)
    await store.discardUnfinished([])
    expect(await unfinishedIn(store)).toEqual([])
    expect(await readText(store, 'job/a')).toBe('kept')
  })

  it('do not stand in the way of the next put', async ({ skip }) => {
    skip(fixture.leaveUnfinished === undefined, nothingIsLeft)
    await fixture.leaveUnfinished?.(10)
    await store.put('a', text('put'))
    expect(await store.putIfAbsent('b', Buffer.from('b'))).toBe(true)
    expect(await readText(store, 'a')).toBe('put')
    expect((await unfinishedIn(store)).length).toBe(1)
  })

  it.each(badIds)('with the id %j are INVALID_ARGUMENT, and nothing is discarded', async (id) => {
    await store.put('job/a', text('kept'))
    await fixture.leaveUnfinished?.(10)
    const left = await unfinishedIn(store)
    await expect(
      store.discardUnfinished([...left.map((upload) => upload.id), id]),
    ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await unfinishedIn(store)).toEqual(left)
    expect(await keysOf(store, '')).toEqual(['job/a'])
  })

  it('discarded by the key of an object leave that object', async () => {
    await store.put('a', text('kept'))
    // An id of another form than the store's own may be refused, or be of nothing.
    await store.discardUnfinished(['a']).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' })
    })
    expect(await readText(store, 'a')).toBe('kept')
  })

  it('do nothing with a signal that is aborted already', async () => {
    await fixture.leaveUnfinished?.(10)
    const left = await unfinishedIn(store)
    const signal = AbortSignal.abort()
    const aborted = { code: 'SNAPSHOT_ABORTED' }
    const listing = async (): Promise<void> => {
      for await (const { id } of store.listUnfinished({ signal })) expect.unreachable(id)
    }
    await expect(listing()).rejects.toMatchObject(aborted)
    const ids = left.map(({ id }) => id)
    await expect(store.discardUnfinished(ids, { signal })).rejects.toMatchObject(aborted)
    expect(await unfinishedIn(store)).toEqual(left)
  })
}

/** What the store's own clock says: when it stored an object just now. */
async function clockOf(store: ObjectStore): Promise<number> {
  await store.put('clock', text('tick'))
  for await (const { lastModifiedMs } of store.list('clock')) return lastModifiedMs
  return expect.unreachable('an object that was put is listed')
}
