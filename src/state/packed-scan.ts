/**
 * The scan of one map, by hand: an entry of a packed map costs one resolved promise, where an async generator's costs three turns of the
 * microtask queue and more. A spilled map is left to a generator, since its entries come from the store anyway.
 *
 * Invariants
 * P1 As with a generator, the map is looked at in the first `next`; the scan is in progress from then on until it ends, by its last entry, an
 *    error or `return`, and has nothing more after that.
 * P2 What is yielded is current: an entry that was removed since the first `next` is left out, a replaced one has its new value.
 */
import type { KeyIdentity, KeySerializer } from '../record/key-serializer.js'
import { Spilled } from '../store/cell.js'
import type { Element } from '../store/element.js'
import { PackedMap } from '../store/packed-map.js'
import { scanSpilled } from './map-scan.js'
import type { StateRuntime } from './state-runtime.js'

export interface MapScanOptions<R> {
  readonly runtime: StateRuntime
  readonly keyGroupOffset: number
  readonly identity: KeyIdentity
  readonly userKeys: KeySerializer<unknown>
  /** What one entry comes to. */
  readonly result: (userKey: KeyIdentity, element: Element) => R
}

interface PackedSource {
  readonly kind: 'packed'
  readonly map: PackedMap
  /** In order. */
  readonly userKeys: readonly KeyIdentity[]
  readonly finished: () => void
}

type Source<R> =
  | { readonly kind: 'unopened' | 'ended' }
  | PackedSource
  | { readonly kind: 'spilled'; readonly entries: AsyncGenerator<R, undefined> }

const UNOPENED = { kind: 'unopened' } as const
const ENDED = { kind: 'ended' } as const

export class MapScan<R> implements AsyncIterableIterator<R, undefined> {
  readonly #options: MapScanOptions<R>
  #source: Source<R> = UNOPENED
  #next = 0

  constructor(options: MapScanOptions<R>) {
    this.#options = options
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<R, undefined>> {
    try {
      if (this.#source.kind === 'unopened') this.#source = this.#open()
      const source = this.#source
      if (source.kind === 'spilled') return source.entries.next()
      if (source.kind === 'packed') {
        this.#options.runtime.context.checkUsable()
        while (this.#next < source.userKeys.length) {
          const userKey = source.userKeys[this.#next++] as KeyIdentity
          const element = source.map.get(userKey)
          if (element === undefined) continue
          return Promise.resolve({ done: false, value: this.#options.result(userKey, element) })
        }
      }
    } catch (error) {
      this.#end()
      return Promise.reject(error)
    }
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  return(): Promise<IteratorResult<R, undefined>> {
    if (this.#source.kind === 'spilled') return this.#source.entries.return(undefined)
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  #open(): Source<R> {
    const { runtime, keyGroupOffset, identity, userKeys } = this.#options
    const cell = runtime.table.find(keyGroupOffset, identity)
    if (cell instanceof Spilled) return { kind: 'spilled', entries: this.#spilled(cell) }
    if (!(cell instanceof PackedMap)) return ENDED
    const finished = runtime.scanStarted()
    return {
      kind: 'packed',
      map: cell,
      userKeys: userKeys.sort(cell.keys()),
      finished,
    }
  }

  async *#spilled(header: Spilled): AsyncGenerator<R, undefined> {
    const { runtime, keyGroupOffset, identity, result } = this.#options
    const finished = runtime.scanStarted()
    try {
      const entries = scanSpilled(runtime, keyGroupOffset, identity, header)
      for await (const [userKey, element] of entries) yield result(userKey, element as Element)
    } finally {
      finished()
    }
  }

  #end(): void {
    if (this.#source.kind === 'packed') this.#source.finished()
    this.#source = ENDED
  }
}
