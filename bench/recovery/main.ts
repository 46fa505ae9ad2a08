/** `npm run bench:recovery`: how long a job takes to come back, at the same and at another parallelism, by the size of its state. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { reasonOf } from '../harness/child-process.js'
import { finishPart, say, withTemporaryDirectory } from '../harness/command-line.js'
import { figureTable } from '../harness/figure-table.js'
import { rotated } from '../harness/statistics.js'
import { contentsIn } from '../rescale/records.js'
import { rangesOf, readSources } from '../rescale/sources.js'
import { readOptions, type Options } from './options.js'
import { DIRECTIONS, RecoveryReport, type Direction } from './report.js'
import {
  buildFlinks,
  buildOurs,
  restore,
  WAYS,
  writeRecordsFile,
  type Checkpoints,
  type Way,
} from './ways.js'

async function run(root: string, { sizesMb, rounds, ways, json }: Options): Promise<void> {
  const report = new RecoveryReport(ways)
  for (const stateMb of sizesMb) {
    const directory = join(root, `${stateMb}-mb`)
    const built = await buildAll(report, directory, stateMb)
    for (const direction of DIRECTIONS) {
      const checkpoints = built.find(({ parallelism }) => parallelism === direction.from)
      if (checkpoints === undefined) break
      for (let round = 0; round < rounds; round++) {
        for (const way of rotated(report.present, round)) {
          const measured = { directory, direction, checkpoints, way, verify: round === 0 }
          await attempt(report, [way], () => measure(report, measured))
        }
      }
    }
    await rm(directory, { recursive: true, force: true })
  }
  const part = report.part({ stateMb: sizesMb.join(', '), rounds })
  say(figureTable(part.figures, 'state, MB'))
  for (const note of part.notes) say(`- ${note}`)
  finishPart(part, json)
}

/** Ways that depend on what throws are absent from here on, and the others go on. */
async function attempt(
  report: RecoveryReport,
  ways: readonly Way[],
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    const why = reasonOf(error)
    for (const way of ways) {
      say(`absent from here on: ${WAYS[way]}, ${why}`)
      report.giveUp(way, why)
    }
  }
}

interface Measured {
  readonly directory: string
  readonly direction: Direction
  readonly checkpoints: Checkpoints
  readonly way: Way
  readonly verify: boolean
}

async function measure(report: RecoveryReport, measured: Measured): Promise<void> {
  const { directory, direction, checkpoints, way, verify } = measured
  const result = await restore(directory, way, checkpoints, direction.to, verify)
  const { stateMb, ours } = checkpoints
  const expected = contentsIn(readSources(ours).contentsByKeyGroup, rangesOf(1))
  const found = result.contents
  if (verify && (found?.entries !== expected.entries || found.checksum !== expected.checksum)) {
    throw new Error(`other contents: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`)
  }
  report.add(direction, way, stateMb, result)
  say(
    `  ${direction.name.padEnd(20)} ${String(stateMb).padStart(4)} MB  ${WAYS[way].padEnd(36)} ` +
      `${result.elapsedMs.toFixed(0).padStart(6)} ms ${result.cpuMs.toFixed(0).padStart(6)} ms of processors`,
  )
}

/** A checkpoint of ours and one of Flink's at each parallelism that is restored from. */
async function buildAll(
  report: RecoveryReport,
  directory: string,
  stateMb: number,
): Promise<Checkpoints[]> {
  const built: Checkpoints[] = []
  let recordsPath: string | undefined
  for (const parallelism of new Set(DIRECTIONS.map(({ from }) => from))) {
    if (report.present.length === 0) break
    say(`Building ${stateMb} MB at parallelism ${parallelism}`)
    const ours = join(directory, `ours-${parallelism}`)
    const flinks = join(directory, `flinks-${parallelism}`)
    // Flink is given the records of ours.
    await attempt(report, report.present, () => buildOurs(ours, parallelism, stateMb))
    if (report.present.includes('flink')) {
      await attempt(report, ['flink'], async () => {
        recordsPath ??= await writeRecordsFile(directory, ours, stateMb)
        await buildFlinks(recordsPath, flinks, parallelism)
      })
    }
    built.push({ stateMb, parallelism, ours, flinks })
  }
  return built
}

const options = readOptions()
await withTemporaryDirectory((root) => run(root, options))
