import { Buffer } from 'node:buffer'
import { expect, it } from 'vitest'
import type { ObjectStore } from '../../../src/storage/object-store.js'
import {
  eachTest,
  keysOf,
  readText,
  text,
  type ObjectStoreFactory,
  type ObjectStoreFixture,
} from './fixture.js'
const badKeys = [
  ['empty', ''],
  ['absolute', '/a'],
  ['ending in a slash', 'a/'],
  ['with an empty segment', 'a//b'],
  ['a dot', '.'],
  ['with a dot segment', 'a/./b'],
  ['leaving the root', '../a'],
  ['leaving the root half-way', 'a/../../b'],
  ['hidden', 'a/.b'],
  ['with a backslash', 'a\\b'],
  ['with NUL', 'a\u0000b'],
  ['with a line feed', 'a\nb'],
  ['with DEL', 'a\u007f'],
  ['with a lone surrogate', 'a\ud800'],
  ['of 1,025 bytes', 'abc/'.repeat(256) + 'a'],
  ['with a segment of 256 bytes', 'é'.repeat(128)],
] as const

export function keyTests(factory: ObjectStoreFactory): void {
  let fixture: ObjectStoreFixture
  let store: ObjectStore
  eachTest(factory, (each) => {
    fixture = each
    store = each.store
  })

  it.each(badKeys)('%s are INVALID_ARGUMENT in every method', async (_, key) => {
    const invalid = { code: 'INVALID_ARGUMENT', kind: 'invalid' }
    await store.put('good', text('x'))
    await expect(store.put(key, text('x'))).rejects.toMatchObject(invalid)
    await expect(store.putIfAbsent(key, Buffer.from('x'))).rejects.toMatchObject(invalid)
    await expect(store.get(key)).rejects.toMatchObject(invalid)
    await expect(store.delete(['good', key])).rejects.toMatchObject(invalid)
    expect(await keysOf(store, '')).toEqual(['good'])
  })

  it('of the greatest length are kept as they are', async () => {
    const { keyMaxBytes = 1024 } = fixture
    const key = 'abc/'.repeat(255).slice(0, keyMaxBytes - 4) + 'abcd'
    expect(key.length).toBe(keyMaxBytes)
    await store.put(key, text('x'))
    expect(await readText(store, key)).toBe('x')
    expect(await keysOf(store, '')).toEqual([key])
  })

  it.each([
    ['with a segment of 255 bytes', 'é'.repeat(127) + 'a'],
    ['with blanks and punctuation', "a b/c+d=e&f%20g'h(i)!*~,;:@$"],
    ['with dots inside', 'a.b/c..d/e.'],
    ['with letters of the world', 'été/日本語/\u{1f600}'],
  ])('%s are kept as they are', async (_, key) => {
    await store.put(key, text('x'))
    expect(await readText(store, key)).toBe('x')
    expect(await keysOf(store, '')).toEqual([key])
    await store.delete([key])
    expect(await keysOf(store, '')).toEqual([])
  })

  it('describes itself', () => {
    expect(store.description).toMatch(/\S/)
  })
}
