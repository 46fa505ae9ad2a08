/**
 * classic-level, watched: what is under way in a database at the same time, and which of its methods were called.
 *
 *     vi.mock('classic-level', async (original) => observedLevel(await original()))
 */
import type { Buffer } from 'node:buffer'
import type { ClassicLevel } from 'classic-level'

type Level = ClassicLevel<Buffer, Buffer>
type Module = typeof import('classic-level')
/** An iterator, as far as it is watched. */
interface Closing {
  close(): Promise<void>
}
/** A batch, as far as it is watched. */
interface Writing {
  write(): Promise<void>
}

export interface Observed {
  batchesInFlight: number
  batchesInFlightMax: number
  batchesWritten: number
  iteratorsOpen: number
  iteratorsOpened: number
  /** Moments at which a batch was in flight while an iterator was open. */
  overlaps: number
  pointReads: number
  /** Calls that a store must not make. */
  offences: string[]
  /** Batches and iterators that were made and not closed yet. */
  resources: number
}

const observing: Observed = {
  batchesInFlight: 0,
  batchesInFlightMax: 0,
  batchesWritten: 0,
  iteratorsOpen: 0,
  iteratorsOpened: 0,
  overlaps: 0,
  pointReads: 0,
  offences: [],
  resources: 0,
}

/** Of all databases of this process. */
export const observed: Readonly<Observed> = observing

/** Counts anew; what is under way stays counted. */
export function resetObserved(): void {
  observing.batchesInFlightMax = observing.batchesInFlight
  observing.batchesWritten = 0
  observing.iteratorsOpened = 0
  observing.overlaps = 0
  observing.pointReads = 0
  observing.offences = []
}

function look(): void {
  observing.batchesInFlightMax = Math.max(observing.batchesInFlightMax, observing.batchesInFlight)
  if (observing.batchesInFlight > 0 && observing.iteratorsOpen > 0) observing.overlaps++
}

/** Methods that take a snapshot of the database, or write around the one queue. */
const FORBIDDEN = [
  'get',
  'getMany',
  'has',
  'hasMany',
  'put',
  'del',
  'clear',
  'snapshot',
  'compactRange',
]

export function observedLevel(module: Module): Module {
  class ObservedLevel extends module.ClassicLevel<Buffer, Buffer> {
    override attachResource(resource: Parameters<Level['attachResource']>[0]): void {
      observing.resources++
      super.attachResource(resource)
    }

    override detachResource(resource: Parameters<Level['detachResource']>[0]): void {
      observing.resources--
      super.detachResource(resource)
    }
  }
  const real = module.ClassicLevel.prototype
  const watched = {
    getSync(this: Level, ...args: unknown[]): unknown {
      observing.pointReads++
      if (args.length > 1) observing.offences.push('getSync with options')
      return Reflect.apply(real.getSync, this, args)
    },
    iterator(this: Level, ...args: unknown[]): Closing {
      return watchedIterator(Reflect.apply(real.iterator, this, args) as Closing)
    },
    batch(this: Level, ...args: unknown[]): Writing {
      if (args.length > 0) observing.offences.push('batch of an array')
      return watchedBatch(Reflect.apply(real.batch, this, args) as Writing)
    },
  }
  for (const [name, value] of Object.entries(watched)) {
    Object.defineProperty(ObservedLevel.prototype, name, { value })
  }
  for (const name of FORBIDDEN) {
    const value = (): never => {
      observing.offences.push(name)
      throw new Error(`${name} is not for a store`)
    }
    Object.defineProperty(ObservedLevel.prototype, name, { value })
  }
  return { ...module, ClassicLevel: ObservedLevel as Module['ClassicLevel'] }
}

function watchedIterator(iterator: Closing): Closing {
  observing.iteratorsOpen++
  observing.iteratorsOpened++
  look()
  const close = iterator.close.bind(iterator)
  let open = true
  iterator.close = async () => {
    await close()
    if (open) observing.iteratorsOpen--
    open = false
  }
  return iterator
}

function watchedBatch(batch: Writing): Writing {
  const write = batch.write.bind(batch)
  batch.write = async () => {
    observing.batchesInFlight++
    look()
    try {
      await write()
      observing.batchesWritten++
    } finally {
      observing.batchesInFlight--
    }
  }
  return batch
}
