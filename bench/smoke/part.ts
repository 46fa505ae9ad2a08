/** What the smoke benchmark gives, from its samples: figures, charts, and the bars they are held to. Pure functions. */
import type { BenchFigure, BenchGoal, BenchPart } from '../harness/part.js'
import { medianOf } from '../harness/statistics.js'
import type { CounterContender, CounterOptions } from './counters.js'
import type { PauseSamples } from './pauses.js'
import type { UploadFigures } from './uploads.js'

export interface SmokeParameters {
  readonly rounds: number
  readonly small: CounterOptions
  readonly large: CounterOptions
  readonly dirtyKeys: number
  readonly snapshots: number
  readonly stateBytes: number
  readonly checkpoints: number
}

/** Thousand operations per second, one a round. */
export type CounterRates = ReadonlyMap<CounterContender, readonly number[]>

export interface SmokeResult {
  readonly small: CounterRates
  readonly large: CounterRates
  readonly pauses: PauseSamples
  readonly uploads: UploadFigures
}

const TITLES: Readonly<Record<CounterContender, string>> = {
  ours: 'LevelDBStateBackend',
  raw: 'classic-level',
  lmdb: 'lmdb',
  map: 'Map',
}

export function smokePart(parameters: SmokeParameters, result: SmokeResult): BenchPart {
  const { pauses, uploads } = result
  const small = `counters, ${keysText(parameters.small)}`
  const large = `counters, ${keysText(parameters.large)}, ${parameters.large.memoryMiB} MiB`
  const held = `snapshot of ${parameters.dirtyKeys / 1000} k dirty keys: caller held`
  const loop = 'its flush and table: event loop held'
  const contender = TITLES.ours
  return {
    part: 'smoke',
    title: 'Counters, pauses and uploads in short',
    parameters: {
      rounds: parameters.rounds,
      smallSeconds: parameters.small.seconds,
      largeSeconds: parameters.large.seconds,
      snapshots: parameters.snapshots,
      stateBytes: parameters.stateBytes,
      checkpoints: parameters.checkpoints,
    },
    figures: [
      ...rateFigures(small, result.small),
      ...rateFigures(large, result.large),
      { name: held, contender, kind: 'latency', unit: 'ms', samples: pauses.syncMs },
      { name: loop, contender, kind: 'latency', unit: 'ms', samples: pauses.loopHeldMs },
      {
        name: 'uploaded by all checkpoints',
        contender,
        kind: 'size',
        unit: 'bytes',
        samples: [uploads.uploadedBytes],
      },
      {
        name: 'uploaded against changed bytes',
        contender,
        kind: 'cost',
        unit: 'times',
        samples: [uploads.ratio],
      },
    ],
    charts: [
      {
        title: 'Read-modify-write counters',
        kind: 'bars',
        yLabel: 'operations per second',
        yScale: 'log',
        names: [small, large],
      },
    ],
    goals: goalsOf(parameters, result),
    absent: {},
    notes: [
      'Counters: read a key, write it back plus one, uniform keys. Only ours takes checkpoints meanwhile, one every 2 s.',
      'classic-level by hand: getSync and chained batches of 500, one in flight. lmdb: asynchronous puts that it batches, its ' +
        'cache, no sync. Map is the ceiling: nothing is kept.',
      'Not measured here: values larger than a number in the counters, lists, maps; more than one task.',
    ],
  }
}

function keysText({ keyCount }: CounterOptions): string {
  return keyCount < 1e6 ? `${keyCount / 1e3} k keys` : `${keyCount / 1e6} M keys`
}

function rateFigures(name: string, rates: CounterRates): BenchFigure[] {
  return [...rates].map(([contender, samples]) => ({
    name,
    contender: TITLES[contender],
    kind: 'throughput',
    unit: 'ops/s',
    samples: samples.map((thousand) => Math.round(thousand * 1000)),
  }))
}

function goalsOf({ small, large }: SmokeParameters, result: SmokeResult): BenchGoal[] {
  const { syncMs, loopHeldMs } = result.pauses
  return [
    gain(`counters, ${keysText(small)}: against raw classic-level`, result.small, 'raw', 4),
    gain(`counters, ${keysText(small)}: against lmdb`, result.small, 'lmdb', 3),
    gain(`counters, ${keysText(large)}: against raw classic-level`, result.large, 'raw', 1),
    atMost('snapshot of dirty keys: caller held, p99', quantile(syncMs, 0.99), 'ms', 1),
    atMost('its flush and table: event loop held', Math.max(...loopHeldMs), 'ms', 20),
    atMost('uploaded against changed bytes', result.uploads.ratio, 'times', 1.5),
  ]
}

function gain(text: string, rates: CounterRates, peer: CounterContender, bar: number): BenchGoal {
  const ratio = medianOf(rates.get('ours') ?? []) / medianOf(rates.get(peer) ?? [])
  return { text: `${text} ${ratio.toFixed(2)} times (at least ${bar})`, reached: ratio >= bar }
}

function atMost(text: string, value: number, unit: string, bar: number): BenchGoal {
  return { text: `${text} ${value.toFixed(2)} ${unit} (at most ${bar})`, reached: value <= bar }
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}
