/**
 * `npm run bench:rescale`: what it costs to come back at another parallelism, by adopting tables and by the two ways of doing without.
 * Only ratios within one run are judged.
 */
import { join } from 'node:path'
import { inChild } from '../harness/child-process.js'
import {
  finishPart,
  say,
  withTemporaryDirectory,
  withWorkDirectory,
} from '../harness/command-line.js'
import { rotated } from '../harness/statistics.js'
import { verifiedOf, type Measurement, type Verified } from './measurement.js'
import { readOptions, STATE_MB, type Options } from './options.js'
import { rescalePart } from './part.js'
import { contentsIn, RECORD_BYTES } from './records.js'
import {
  compare,
  linesOf,
  noRuns,
  VARIANTS,
  WAYS,
  type Comparison,
  type Contender,
  type Growth,
} from './report.js'
import { rangesOf, readSources } from './sources.js'

const CHILD = new URL('child.ts', import.meta.url)

interface Place {
  readonly root: string
  readonly sources: string
  readonly to: number
}

async function build(root: string, parallelism: number, stateMb: number): Promise<string> {
  const directory = join(root, `${stateMb}-mb-of-${parallelism}`)
  say(
    `Building ${stateMb} MB (${Math.ceil((stateMb * 1e6) / RECORD_BYTES)} records) at parallelism ${parallelism}`,
  )
  await inChild(CHILD, 'build', directory, parallelism, stateMb * 1e6)
  return directory
}

/** One measurement in a process and an empty directory of its own. Throws where the contents are not those written. */
function measure(
  name: Contender,
  { root, sources, to }: Place,
  verify: Verified,
): Promise<Measurement> {
  return withWorkDirectory(root, async (work) => {
    const measurement = await inChild<Measurement>(CHILD, name, sources, work, to, verify)
    const { elapsedMs, cpuMs } = measurement
    say(
      `  ${name.padEnd(16)} ${elapsedMs.toFixed(0).padStart(7)} ms ${cpuMs.toFixed(0).padStart(7)} ms of processors`,
    )
    if (verify !== 'none') checkContents(name, { root, sources, to }, verify, measurement)
    return measurement
  })
}

function checkContents(
  way: Contender,
  { sources, to }: Place,
  verify: Verified,
  { contents }: Measurement,
): void {
  const ranges = rangesOf(to).map((range) => verifiedOf(range, verify))
  const expected = contentsIn(readSources(sources).contentsByKeyGroup, ranges)
  if (contents?.entries === expected.entries && contents.checksum === expected.checksum) return
  throw new Error(
    `${way} gave other contents: ${JSON.stringify(contents)} instead of ${JSON.stringify(expected)}`,
  )
}

/** All ways in one direction; each round begins with another way, and the first looks at the contents and at the variants. */
async function compareWays(
  place: Place,
  from: number,
  { rounds, verify }: Options,
): Promise<Comparison> {
  const runs = noRuns()
  for (let round = 0; round < rounds; round++) {
    say(`${from} to ${place.to}, round ${round + 1}`)
    for (const way of rotated(WAYS, round)) {
      runs[way].push(await measure(way, place, round === 0 ? verify : 'none'))
    }
  }
  for (const variant of VARIANTS) {
    // The cold one differs from what was verified in nothing but what its process did before.
    const verified = variant === 'adoptCold' ? 'none' : verify
    runs[variant].push(await measure(variant, place, verified))
  }
  return compare(from, place.to, runs)
}

async function grow(root: string, large: string, { stateMb, rounds }: Options): Promise<Growth> {
  const small = await build(root, 1, STATE_MB)
  say(`1 to 2, ${STATE_MB} MB and ${stateMb} MB`)
  const adopt = async (sources: string): Promise<number[]> => {
    const samplesMs: number[] = []
    for (let round = 0; round < rounds; round++) {
      samplesMs.push((await measure('adopt', { root, sources, to: 2 }, 'none')).elapsedMs)
    }
    return samplesMs
  }
  return {
    small: { stateMb: STATE_MB, samplesMs: await adopt(small) },
    large: { stateMb, samplesMs: await adopt(large) },
  }
}

async function run(root: string, options: Options): Promise<void> {
  const { stateMb, directions, json } = options
  const built = new Map<number, string>()
  const sourcesAt = async (parallelism: number): Promise<string> => {
    const sources = built.get(parallelism) ?? (await build(root, parallelism, stateMb))
    built.set(parallelism, sources)
    return sources
  }
  const comparisons: Comparison[] = []
  for (const [from, to] of directions) {
    const place = { root, sources: await sourcesAt(from), to }
    comparisons.push(await compareWays(place, from, options))
  }
  const large = built.get(1)
  const growth =
    stateMb > STATE_MB && large !== undefined ? await grow(root, large, options) : undefined
  for (const line of comparisons.flatMap(linesOf)) say(line)
  finishPart(rescalePart(options, comparisons, growth), json)
}

const options = readOptions()
await withTemporaryDirectory((root) => run(root, options))
