/** The main job: see `npm start -- --help`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { isS3Location } from '../../src/cli/open-s3.js'
import { KilledRunner, type KilledRun } from './killed-run.js'
import { parseOptions, USAGE, UsageError, type FlightsOptions } from './options.js'
import { computeReference, differenceOf } from './reference.js'
import { bytes, startReport, table, whole } from './report.js'
import type { RouteResult } from './route-result.js'

const CHECKPOINT_EVERY_RECORDS = 250_000
/** With few records, still this many checkpoints. */
const CHECKPOINTS_MIN = 12
const REPORT_EVERY_RECORDS = 5000

async function main(): Promise<number> {
  let options: FlightsOptions
  try {
    options = parseOptions(process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message} See npm start -- --help.\n`)
    return 2
  }
  if (options.help) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  const temporaryDirectory = mkdtempSync(join(tmpdir(), 'flights-'))
  try {
    return await runJob(options, temporaryDirectory)
  } finally {
    rmSync(temporaryDirectory, { recursive: true, force: true })
  }
}

async function runJob(options: FlightsOptions, temporaryDirectory: string): Promise<number> {
  const { records, parallelism, restoreParallelism, stateBackend, checkpointDirectory } = options
  const location = checkpointDirectory ?? join(temporaryDirectory, 'checkpoints')
  const checkpoints = isS3Location(location) ? location.replace(/\/$/, '') : resolve(location)
  // A run is a job of its own, so that an earlier one in the same directory is neither continued nor touched.
  const jobId = `flights-${new Date().toISOString().replaceAll(/[-:]/g, '').replace('.', '-')}`
  const report = startReport(records)
  const runner = new KilledRunner(
    {
      records,
      parallelism,
      stateBackend,
      checkpointDirectory: checkpoints,
      s3Endpoint: options.s3Endpoint,
      jobId,
      workDirectory: join(temporaryDirectory, 'work'),
      checkpointEveryRecords: Math.min(
        CHECKPOINT_EVERY_RECORDS,
        Math.floor(records / CHECKPOINTS_MIN),
      ),
      reportEveryRecords: Math.min(REPORT_EVERY_RECORDS, Math.floor(records / CHECKPOINTS_MIN)),
    },
    restoreParallelism,
    temporaryDirectory,
    report,
  )
  const interrupt = (): void => runner.interrupt()
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  const results: RouteResult[] = []
  let run: KilledRun
  try {
    report.line(`${whole(records)} flights, ${stateBackend}, parallelism ${parallelism}`)
    if (checkpointDirectory !== undefined) report.line(`checkpoints in ${checkpoints}/${jobId}`)
    run = await runner.run((routes) => results.push(...routes))
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
    report.stop()
  }
  const difference = await firstDifference(records, results)
  process.stdout.write(`${table(rowsOf(options, run, results.length))}\n`)
  process.stdout.write(`${difference === undefined ? 'identical' : `DIFFERENT: ${difference}`}\n`)
  if (options.json) process.stdout.write(`${JSON.stringify(jsonOf(options, run, difference))}\n`)
  return difference === undefined ? 0 : 1
}

async function firstDifference(
  records: number,
  results: readonly RouteResult[],
): Promise<string | undefined> {
  const expected = await computeReference(records)
  for (const result of results) {
    const difference = differenceOf(expected.get(result.route), result)
    if (difference !== undefined) return difference
    expected.delete(result.route)
  }
  const [missing] = expected.keys()
  return missing === undefined ? undefined : `${missing}: in the records, but not in the state`
}

function rowsOf(
  { records }: FlightsOptions,
  run: KilledRun,
  routes: number,
): [what: string, value: string][] {
  const uploaded = run.checkpoints.reduce((total, { uploadedBytes }) => total + uploadedBytes, 0)
  const longestSyncMs = Math.max(0, ...run.checkpoints.map(({ syncMs }) => syncMs))
  const restored = `${run.restoredFromCheckpoint} (flight ${whole(run.restoredAtRecord)})`
  return [
    ['flights', whole(records)],
    ['routes', whole(routes)],
    ['killed at flight', whole(run.killedAtRecord)],
    ['restored from checkpoint', restored],
    ['flights processed, repeated ones included', whole(run.recordsProcessed)],
    ['seconds of processing', run.seconds.toFixed(1)],
    ['flights per second', whole(records / run.seconds)],
    ['checkpoints completed', whole(run.checkpoints.length)],
    ['uploaded by all checkpoints', bytes(uploaded)],
    ['state at the end', bytes(run.checkpoints.at(-1)?.stateBytes ?? 0)],
    ['longest synchronous part', `${longestSyncMs.toFixed(2)} ms`],
  ]
}

function jsonOf(
  { records }: FlightsOptions,
  run: KilledRun,
  difference: string | undefined,
): Record<string, unknown> {
  return {
    records,
    seconds: run.seconds,
    recordsPerSecond: records / run.seconds,
    killedAtRecord: run.killedAtRecord,
    restoredFromCheckpoint: run.restoredFromCheckpoint,
    checkpoints: run.checkpoints.map((checkpoint) => ({
      id: checkpoint.checkpointId,
      kind: checkpoint.kind,
      uploadedBytes: checkpoint.uploadedBytes,
      stateBytes: checkpoint.stateBytes,
      syncMs: checkpoint.syncMs,
      asyncMs: checkpoint.asyncMs,
    })),
    identical: difference === undefined,
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
