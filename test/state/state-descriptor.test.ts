import { describe, expect, it } from 'vitest'
import { StateBackendError } from '../../src/errors.js'
import { anyKey, numberKey, stringKey } from '../../src/record/key-serializer.js'
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
} from '../../src/state/state-descriptor.js'
import { BufferHarness } from './buffer-harness.js'

const sum = (left: number, right: number): number => left + right
const sums = { createAccumulator: () => 0, add: sum, getResult: (total: number) => total }

describe('descriptors', () => {
  const makers: [string, (name: string) => { readonly name: string; readonly kind: string }][] = [
    ['value', (name) => valueState(name)],
    ['list', (name) => listState(name)],
    ['map', (name) => mapState(name)],
    ['reducing', (name) => reducingState(name, sum)],
    ['aggregating', (name) => aggregatingState(name, sums)],
  ]
  it.each(makers)('%s: has its kind and a name of 1 to 512 characters', (kind, make) => {
    for (const name of ['a', 'é\u0000', 'x'.repeat(512)]) {
      expect(make(name)).toMatchObject({ kind, name })
    }
    for (const name of ['', 'x'.repeat(513), undefined, null, 1]) {
      expect(() => make(name as string)).toThrow(StateBackendError)
    }
  })

  it('a map has user keys of any type unless it is told otherwise', () => {
    expect(mapState('m').keySerializer).toBe(anyKey)
    expect(mapState('m', { keySerializer: stringKey }).keySerializer).toBe(stringKey)
  })
})

describe('the registry', () => {
  it('R1: registers nothing that does not fit, and leaves what there is', () => {
    const states = new BufferHarness({
      keySerializer: numberKey,
      writeBufferBytes: 2 ** 20,
      readCacheBytes: 2 ** 20,
    })
    const value = states.state(valueState<number>('s'))
    expect(() => states.state(listState<number>('s'))).toThrow(/Was \[VALUE\]/)
    expect(() => states.state(valueState('t', { defaultValue: () => 1 }))).toThrow(
      StateBackendError,
    )
    expect(states.buffer.tables.size).toBe(1)
    expect(states.state(valueState<number>('s'))).toBe(value)
    states.state(valueState('t', { defaultValue: 1 }))
    expect(states.buffer.tables.size).toBe(2)
  })
})
