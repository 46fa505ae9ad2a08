/**
 * `npm run bench:s3`: our S3 store against what the SDK itself offers, in one run on one server, and the requests of a checkpoint.
 * Only ratios within one run are judged.
 */
import { randomUUID } from 'node:crypto'
import { S3ObjectStore } from '../../src/storage/s3/s3-object-store.js'
import {
  positiveInteger,
  readCommandLine,
  withTemporaryDirectory,
} from '../harness/command-line.js'
import { withServer } from '../harness/lifetime.js'
import { medianOf } from '../harness/statistics.js'
import { countRequests, type RequestFigures } from './checkpoint-requests.js'
import { openEndpoint, type Endpoint } from './endpoint.js'
import { downloadRate, makeTables, uploadRate, waysOf, type Table, type Way } from './transfers.js'

const USAGE = `Usage: npm run bench:s3 [-- options]

  --mb <n>          tables to transfer, in millions of bytes (default 200)
  --rounds <n>      measurements of each way (default 5)
  --interval-s <n>  seconds between checkpoints, for the monthly cost of their requests (default 60)
  --json            print one JSON object as the last line
  --help            print this

Uploads eight tables, four at a time, by S3ObjectStore.put and by the SDK's Upload (@aws-sdk/lib-storage, its default part size and
queue); downloads them by S3ObjectStore.get and by ranged reads one after another (8 MiB each). One client for all, an order that
rotates, a first round that does not count. Then counts all requests of incremental checkpoints of a job of one task: a checkpoint's own,
and, apart from them, those that delete the checkpoint it takes the place of. Their cost is that of S3 Standard in us-east-1.

The endpoint is that of LSB_S3_BUCKET and LSB_S3_ENDPOINT, or else a server that is started for the run.
Exits with 1 when a ratio is under 0.8, or an incremental checkpoint needs more than 3 requests of its own.`

const RATIO_MIN = 0.8
const REQUESTS_MAX = 3
const directions = { upload: uploadRate, download: downloadRate } as const

type WayName = 'ours' | 'sdk'
type Rates = Record<WayName, number[]>

async function main(): Promise<number> {
  const { values } = readCommandLine(USAGE, {
    options: {
      mb: { type: 'string' },
      rounds: { type: 'string' },
      'interval-s': { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const intervalSeconds = positiveInteger('--interval-s', values['interval-s'], 60)
  const megabytes = positiveInteger('--mb', values.mb, 200)
  const rounds = positiveInteger('--rounds', values.rounds, 5)
  return withTemporaryDirectory(async (directory) => {
    const endpoint = await openEndpoint()
    const prefix = `level-state-backend-bench/${randomUUID()}`
    return withServer(endpoint.close, async () => {
      const store = await S3ObjectStore.open({ ...endpoint, prefix })
      const tables = makeTables(directory, megabytes * 1e6)
      const rates = await measure(waysOf(endpoint, store, prefix), tables, rounds)
      const requests = await countRequests(endpoint, store, directory, intervalSeconds)
      await removeAll(store)
      return report(endpoint, rates, requests, intervalSeconds, values.json)
    })
  })
}

async function measure(
  ways: Record<WayName, Way>,
  tables: readonly Table[],
  rounds: number,
): Promise<Record<keyof typeof directions, Rates>> {
  const rates = { upload: { ours: [], sdk: [] }, download: { ours: [], sdk: [] } } as Record<
    keyof typeof directions,
    Rates
  >
  for (let round = 0; round <= rounds; round++) {
    const order: WayName[] = round % 2 === 0 ? ['ours', 'sdk'] : ['sdk', 'ours']
    for (const direction of ['upload', 'download'] as const) {
      for (const name of order) {
        const rate = await directions[direction](ways[name], tables)
        if (round > 0) rates[direction][name].push(rate)
      }
    }
  }
  return rates
}

async function removeAll(store: S3ObjectStore): Promise<void> {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  await store.delete(keys)
}

function report(
  { description }: Endpoint,
  rates: Record<keyof typeof directions, Rates>,
  requests: RequestFigures,
  intervalSeconds: number,
  json: boolean,
): number {
  const ratios = { upload: ratioOf(rates.upload), download: ratioOf(rates.download) }
  const passed =
    Math.min(ratios.upload, ratios.download) >= RATIO_MIN && requests.requestsMax <= REQUESTS_MAX
  const say = (line: string): boolean => process.stdout.write(`${line}\n`)
  say(`server: ${description}`)
  for (const direction of ['upload', 'download'] as const) {
    const { ours, sdk } = rates[direction]
    say(
      `${direction}: ${medianOf(ours).toFixed(0)} MB/s by the store, ${medianOf(sdk).toFixed(0)} MB/s by the SDK, ` +
        `ratio ${ratios[direction].toFixed(2)} (at least ${RATIO_MIN})`,
    )
  }
  const perCheckpoint = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${(count / requests.checkpoints).toFixed(2)}`)
      .join(', ') || 'none'
  const kilobytes = requests.uploadedBytes / requests.checkpoints / 1000
  say(
    `requests per checkpoint, of ${requests.checkpoints} deltas of ${kilobytes.toFixed(0)} kB: ${perCheckpoint(requests.requests)}; ` +
      `the most of one: ${requests.requestsMax} (at most ${REQUESTS_MAX})`,
  )
  say(`to delete the one before, not counted above: ${perCheckpoint(requests.deletions)}`)
  say(
    `cost of all these requests at list price, one checkpoint every ${intervalSeconds} s: $${requests.dollarsPerMonth.toFixed(2)} a ` +
      'month (30 days), deletions being free',
  )
  if (json) say(JSON.stringify({ description, rates, ratios, requests, intervalSeconds, passed }))
  return passed ? 0 : 1
}

/** The median of what the rounds say, each of two measurements close in time. */
function ratioOf({ ours, sdk }: Rates): number {
  return medianOf(ours.map((rate, round) => rate / (sdk[round] ?? NaN)))
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
