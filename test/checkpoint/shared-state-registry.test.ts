import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SharedStateRegistry } from '../../src/checkpoint/shared-state-registry.js'

describe('SharedStateRegistry', () => {
  it('gives up an object when no checkpoint from the lowest needed one on named it', () => {
    const registry = new SharedStateRegistry()
    registry.register(['a', 'b'], 1)
    registry.register(['b', 'c'], 2)
    expect(registry.unused(1)).toEqual([])
    expect(registry.unused(2)).toEqual(['a'])
    expect(registry.unused(3)).toEqual(['a', 'b', 'c'])
  })

  it('asks for the deletion again until it is told of it', () => {
    const registry = new SharedStateRegistry()
    registry.register(['a'], 1)
    expect(registry.unused(2)).toEqual(['a'])
    expect(registry.unused(2)).toEqual(['a'])
    registry.forget(['a', 'unknown'])
    expect(registry.unused(2)).toEqual([])
    expect(registry.size).toBe(0)
  })

  it('counts nothing: registering twice or late changes only the interval', () => {
    const registry = new SharedStateRegistry()
    registry.register(['a'], 5)
    registry.register(['a'], 5)
    registry.register(['a'], 3)
    expect(registry.unused(5)).toEqual([])
    expect(registry.unused(6)).toEqual(['a'])
  })

  it('gives up what only an aborted checkpoint named, and nothing else', () => {
    const registry = new SharedStateRegistry()
    registry.register(['base'], 4)
    registry.register(['base', 'new'], 5)
    registry.checkpointAborted(5)
    expect(registry.unused(4)).toEqual(['new'])
    registry.register(['base', 'newer'], 6)
    expect(registry.unused(6)).toEqual(['new'])
  })

  it('gives up what an aborted checkpoint acknowledges late', () => {
    const registry = new SharedStateRegistry()
    registry.register(['new'], 5)
    registry.checkpointAborted(5)
    registry.register(['new', 'late'], 5)
    expect(registry.unused(1)).toEqual([])
    registry.checkpointAborted(5)
    expect(registry.unused(1)).toEqual(['new', 'late'])
  })

  it('G1: never gives up an object of a checkpoint that is needed (against a plain model)', () => {
    const names = fc.array(fc.integer({ min: 0, max: 9 }).map(String), { maxLength: 4 })
    const checkpoints = fc.array(names, { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(checkpoints, fc.nat(12), (named, lowest) => {
        const registry = new SharedStateRegistry()
        for (const [index, locations] of named.entries()) registry.register(locations, index + 1)
        const needed = new Set(named.slice(Math.max(0, lowest - 1)).flat())
        const all = new Set(named.flat())
        const expected = [...all].filter((location) => !needed.has(location)).sort()
        expect(registry.unused(lowest).sort()).toEqual(expected)
      }),
    )
  })
})
