/**
 * `npm run bench:smoke`: the figures this package is held to, as ratios within one run on one machine, in about two minutes. Absolute
 * figures depend on the machine; only ratios are judged.
 */
import { inChild } from '../harness/child-process.js'
import { finishPart, readCommandLine, say } from '../harness/command-line.js'
import { rotated } from '../harness/statistics.js'
import type { CounterContender, CounterOptions } from './counters.js'
import { smokePart, type CounterRates, type SmokeParameters, type SmokeResult } from './part.js'
import type { PauseSamples } from './pauses.js'
import type { UploadFigures } from './uploads.js'

const USAGE = `Usage: npm run bench:smoke [-- options]

  --quick  smaller sizes, half a minute: not what the bars are meant for
  --json   print the part of the benchmark as one JSON object, the last line
  --help   print this

Measures read-modify-write counters beside raw classic-level, lmdb and a plain Map; how long a
snapshot holds the caller and the event loop; and what 20 incremental checkpoints upload.
Exits with 1 when a figure falls short of its bar.`

const DEFAULT: SmokeParameters = {
  rounds: 2,
  small: { keyCount: 500_000, memoryMiB: 256, seconds: 4, prefill: false },
  large: { keyCount: 5_000_000, memoryMiB: 64, seconds: 8, prefill: true },
  dirtyKeys: 500_000,
  snapshots: 12,
  stateBytes: 200e6,
  checkpoints: 20,
}
const QUICK: SmokeParameters = {
  rounds: 1,
  small: { ...DEFAULT.small, keyCount: 100_000, seconds: 1 },
  large: { ...DEFAULT.large, keyCount: 500_000, memoryMiB: 32, seconds: 1 },
  dirtyKeys: 100_000,
  snapshots: 3,
  stateBytes: 20e6,
  checkpoints: 5,
}
const SMALL_CONTENDERS: readonly CounterContender[] = ['ours', 'raw', 'lmdb', 'map']
/** At this size lmdb and a Map take longer to fill than the whole benchmark. */
const LARGE_CONTENDERS: readonly CounterContender[] = ['ours', 'raw']
const CHILD = new URL('child.ts', import.meta.url)

async function counters(
  contenders: readonly CounterContender[],
  options: CounterOptions,
  rounds: number,
): Promise<CounterRates> {
  const rates = new Map<CounterContender, number[]>(contenders.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const name of rotated(contenders, round)) {
      const rate = await inChild<number>(CHILD, 'counters', name, options)
      rates.get(name)?.push(rate)
      say(`  ${name.padEnd(5)} ${rate.toFixed(0).padStart(6)} thousand operations/s`)
    }
  }
  return rates
}

async function run(parameters: SmokeParameters): Promise<SmokeResult> {
  const { rounds, small, large, dirtyKeys, snapshots, stateBytes, checkpoints } = parameters
  say(`Counters, ${small.keyCount} uniform keys, a checkpoint every 2 s (ours only)`)
  const smallRates = await counters(SMALL_CONTENDERS, small, rounds)
  say(`Counters, ${large.keyCount} uniform keys, prefilled, ${large.memoryMiB} MiB`)
  const largeRates = await counters(LARGE_CONTENDERS, large, 1)
  say(`Snapshots of ${dirtyKeys} dirty keys`)
  const pauses = await inChild<PauseSamples>(CHILD, 'pauses', dirtyKeys, snapshots)
  say(`${checkpoints} checkpoints that change 1 % of ${stateBytes / 1e6} MB`)
  const uploads = await inChild<UploadFigures>(CHILD, 'uploads', stateBytes, checkpoints)
  return { small: smallRates, large: largeRates, pauses, uploads }
}

const { values } = readCommandLine(USAGE, {
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const parameters = values.quick ? QUICK : DEFAULT
finishPart(smokePart(parameters, await run(parameters)), values.json)
