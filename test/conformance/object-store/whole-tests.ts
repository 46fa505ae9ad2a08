import { Buffer } from 'node:buffer'
import { expect, it } from 'vitest'
import type { ObjectBody, ObjectStore } from '../../../src/storage/object-store.js'
import {
  body,
  eachTest,
  keysOf,
  readText,
  sizesOf,
  text,
  type ObjectStoreFactory,
} from './fixture.js'

export function wholeTests(factory: ObjectStoreFactory): void {
  let store: ObjectStore
  eachTest(factory, (fixture) => (store = fixture.store))

  it('keeps nothing of a body that makes too few or too many bytes', async () => {
    for (const sizeBytes of [0, 2999, 3001]) {
      await expect(
        store.put(
          'a',
          body(3, 1000, () => undefined, sizeBytes),
        ),
      ).rejects.toMatchObject({ code: 'STORAGE_FAILED', kind: 'unavailable' })
    }
    expect(await sizesOf(store, '')).toEqual([])
  })

  it('keeps nothing of a body that fails, and gives the failure as the cause', async () => {
    const failure = new Error('the source broke')
    const failing = body(3, 1000, (index) => {
      if (index === 2) throw failure
    })
    await expect(store.put('a', failing)).rejects.toMatchObject({
      name: 'StateBackendError',
      cause: failure,
    })
    expect(await sizesOf(store, '')).toEqual([])
  })

  it('stops a put when its signal is aborted between chunks', async () => {
    const controller = new AbortController()
    const seen: number[] = []
    const aborting = body(5, 1000, (index) => {
      seen.push(index)
      if (index === 2) controller.abort()
    })
    await expect(store.put('a', aborting, { signal: controller.signal })).rejects.toMatchObject({
      code: 'SNAPSHOT_ABORTED',
      kind: 'closed',
    })
    expect(seen).toEqual([0, 1, 2])
    expect(await sizesOf(store, '')).toEqual([])
  })

  it('stops a put when its signal is aborted after the last chunk', async () => {
    const controller = new AbortController()
    const last: ObjectBody = {
      sizeBytes: 1,
      async *chunks() {
        yield Buffer.from('x')
        controller.abort()
      },
    }
    await expect(store.put('a', last, { signal: controller.signal })).rejects.toMatchObject({
      code: 'SNAPSHOT_ABORTED',
    })
    expect(await sizesOf(store, '')).toEqual([])
  })

  it('leaves what was there when a put over it fails', async () => {
    await store.put('a', text('before'))
    await expect(
      store.put(
        'a',
        body(1, 3, () => undefined, 2),
      ),
    ).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    expect(await readText(store, 'a')).toBe('before')
  })

  it('does nothing at all with a signal that is aborted already', async () => {
    await store.put('a', text('before'))
    const signal = AbortSignal.abort()
    const untouched = body(1, 1, () => expect.unreachable('the body was read'))
    const aborted = { code: 'SNAPSHOT_ABORTED' }
    await expect(store.put('a', untouched, { signal })).rejects.toMatchObject(aborted)
    await expect(store.putIfAbsent('b', Buffer.from('b'), { signal })).rejects.toMatchObject(
      aborted,
    )
    await expect(store.get('a', { signal })).rejects.toMatchObject(aborted)
    await expect(store.delete(['a'], { signal })).rejects.toMatchObject(aborted)
    const listing = async (): Promise<void> => {
      for await (const info of store.list('', { signal })) expect.unreachable(info.key)
    }
    await expect(listing()).rejects.toMatchObject(aborted)
    expect(await keysOf(store, '')).toEqual(['a'])
    expect(await readText(store, 'a')).toBe('before')
  })

  it('lets a reader leave in the middle', async () => {
    await store.put('a', body(40, 100_000))
    for await (const chunk of await store.get('a')) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    await store.delete(['a'])
    expect(await sizesOf(store, '')).toEqual([])
  })
}
