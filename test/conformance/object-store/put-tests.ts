import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import {
  bodyOfBytes,
  type ObjectBody,
  type ObjectStore,
} from '../../../src/storage/object-store.js'
import {
  body,
  bytesOf,
  eachTest,
  keysOf,
  readText,
  sizesOf,
  text,
  type ObjectStoreFactory,
} from './fixture.js'

export function putTests(factory: ObjectStoreFactory): void {
  let store: ObjectStore
  eachTest(factory, (fixture) => (store = fixture.store))

  it('gives back what was put, chunk borders aside', async () => {
    await store.put('job/shared/x.ldb', body(5, 1000))
    const bytes = await bytesOf(await store.get('job/shared/x.ldb'))
    expect(bytes).toEqual(await bytesOf(body(5, 1000).chunks()))
  })

  it('keeps an empty object', async () => {
    await store.put('empty', text(''))
    expect(await readText(store, 'empty')).toBe('')
    expect(await sizesOf(store, '')).toEqual([{ key: 'empty', sizeBytes: 0 }])
  })

  it('puts over what was there, longer or shorter', async () => {
    await store.put('a', text('first'))
    await store.put('a', text('2'))
    expect(await readText(store, 'a')).toBe('2')
    await store.put('a', text('the third'))
    expect(await readText(store, 'a')).toBe('the third')
  })

  it('copies: what the caller does to its bytes or chunks later changes nothing', async () => {
    const bytes = Buffer.from('kept')
    await store.put('put', bodyOfBytes(bytes))
    await store.putIfAbsent('absent', bytes)
    bytes.fill(0)
    for await (const chunk of await store.get('put')) chunk.fill(0)
    expect(await readText(store, 'put')).toBe('kept')
    expect(await readText(store, 'absent')).toBe('kept')
  })

  it('rejects with OBJECT_MISSING where nothing is, also at and below the folder of an object', async () => {
    await store.put('a/b', text('x'))
    for (const key of ['b', 'a', 'a/c', 'a/b/c', 'c/d/e']) {
      await expect(store.get(key), key).rejects.toMatchObject({
        code: 'OBJECT_MISSING',
        kind: 'data',
        details: { key },
      })
    }
  })

  it('streams 20 MB', async () => {
    const sent = createHash('sha256')
    const large: ObjectBody = {
      sizeBytes: 20_000_000,
      async *chunks() {
        for (let index = 0; index < 200; index++) {
          const chunk = Buffer.alloc(100_000, `${index}:`)
          sent.update(chunk)
          yield chunk
        }
      },
    }
    await store.put('large', large)
    const received = createHash('sha256')
    for await (const chunk of await store.get('large')) received.update(chunk)
    expect(received.digest('hex')).toBe(sent.digest('hex'))
    expect(await sizesOf(store, 'large')).toEqual([{ key: 'large', sizeBytes: 20_000_000 }])
  })

  it('takes 100 puts at once, into the same and other folders', async () => {
    const keys = Array.from({ length: 100 }, (_, index) => `f${index % 7}/k${index}`)
    await Promise.all(keys.map((key) => store.put(key, text(key))))
    expect(await Promise.all(keys.map((key) => readText(store, key)))).toEqual(keys)
    expect((await keysOf(store, '')).length).toBe(100)
  })

  it('while puts of other lengths and bytes replace the object', async () => {
    const filled = (fill: number): ObjectBody =>
      bodyOfBytes(Buffer.alloc(50_000 * (fill + 1), fill))
    await store.put('a', filled(0))
    let writing = true
    const write = async (): Promise<void> => {
      for (let round = 1; round <= 30; round++) await store.put('a', filled(round % 4))
      writing = false
    }
    const read = async (): Promise<void> => {
      while (writing) {
        const bytes = await bytesOf(await store.get('a'))
        const fill = bytes[0] ?? -1
        expect(bytes.length).toBe(50_000 * (fill + 1))
        expect(bytes.every((byte) => byte === fill)).toBe(true)
      }
    }
    await Promise.all([write(), read(), read()])
  })
}
