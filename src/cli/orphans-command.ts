/** `orphans`: what crashes and failed deletions left of a job in storage, and on request its deletion. */
import {
  deleteOrphans,
  findOrphans,
  type DeletedOrphans,
  type OrphanReport,
} from '../restore/orphans.js'
import {
  COMMON_OPTIONS_USAGE,
  STORAGE_USAGE,
  parseCommand,
  writeJSON,
  type Command,
  type CommandWorld,
  type ExitCode,
} from './command.js'
import { counted, mebibytes, printable, table, utcTime, type Column } from './format.js'
import { Progress } from './progress.js'
import { UsageError } from './usage-error.js'

/** More rows than anybody reads; the JSON has all. */
const orphansShownMax = 200

const usage = `Usage: level-state-backend orphans <storage> --job J [--min-age 24h] [--delete] [--json]

Tells of every object below the job's folder whether it is live (needed), pending (perhaps needed, or not ours) or an orphan (left by a
crash or a failed deletion), and so of unfinished uploads, which are the whole storage's and of no job. Deletes nothing, unless asked to.

${STORAGE_USAGE}
  --min-age AGE   what is younger is never an orphan: 90m, 24h, 7d (default: 24h). Give more than the job's checkpoint timeout; 0 only
                  while nothing writes to the storage
  --delete        delete the orphans, looking at the checkpoints again before it
${COMMON_OPTIONS_USAGE}

Exit code: 0, 1 when there are orphans that were not deleted or a checkpoint cannot be read, 2 for wrong arguments.
`

export const orphansCommand: Command = {
  name: 'orphans',
  summary: 'finds, and on request deletes, what crashes left in the storage',
  usage,
  run,
}

async function run(args: readonly string[], world: CommandWorld): Promise<ExitCode> {
  const { storage, json, values } = await parseCommand(args, {
    'min-age': { type: 'string', default: '24h' },
    delete: { type: 'boolean', default: false },
  })
  const minAgeMs = durationMs(String(values['min-age']))
  const progress = new Progress(world)
  const { report, deleted } = await (async () => {
    try {
      progress.show(`Looking through job ${storage.jobId}`)
      const found = await findOrphans(storage, { minAgeMs, clock: world.clock })
      if (values['delete'] !== true) return { report: found, deleted: undefined }
      progress.show(`Deleting ${mebibytes(found.orphanBytes)} MiB of orphans`)
      return { report: found, deleted: await deleteOrphans(storage, found) }
    } finally {
      progress.clear()
    }
  })()
  if (json) writeJSON(world.stdout, { ...report, deleted: deleted ?? null })
  else world.stdout.write(textOf(report, deleted))

  const left = deleted === undefined ? orphanCount(report) : 0
  return left === 0 && report.complete && report.unreadableCheckpoints.length === 0 ? 0 : 1
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function durationMs(text: string): number {
  const [, digits = '', unit = ''] = /^([0-9]{1,9})([smhd])$/.exec(text) ?? []
  const ms = Number(digits) * (unitMs[unit] ?? NaN)
  if (text === '0') return 0
  if (Number.isSafeInteger(ms)) return ms
  throw new UsageError(
    `--min-age takes a number with a unit, s, m, h or d, such as 90m or 7d, not ${JSON.stringify(text)}.`,
  )
}

function orphanCount({ objects, unfinished }: OrphanReport): number {
  return [...objects, ...unfinished].filter((each) => each.class === 'orphan').length
}

interface Item {
  readonly name: string
  readonly sizeBytes: number
  readonly lastModifiedMs: number
  readonly class: string
  readonly reason: string
}

function itemsOf({ objects, unfinished }: OrphanReport): Item[] {
  return [
    ...objects.map((object) => ({ name: object.location, ...object })),
    ...unfinished.map((upload) => ({ name: `unfinished upload ${upload.id}`, ...upload })),
  ]
}

function textOf(report: OrphanReport, deleted: DeletedOrphans | undefined): string {
  const items = itemsOf(report)
  const orphans = items.filter((item) => item.class === 'orphan')
  return [
    summaryOf(items),
    orphans.length === 0 ? '' : `\n${orphanTable(orphans)}`,
    ...report.unreadableCheckpoints.map(
      ({ checkpointId, code, message }) =>
        `\nCheckpoint ${checkpointId} cannot be read, so what it may name is spared: ${code}: ${printable(message)}\n`,
    ),
    report.complete
      ? ''
      : '\nThere is more than one report holds: delete these, then look again.\n',
    `\n${outcome(report, orphans.length, deleted)}`,
  ].join('')
}

const summaryColumns: Column[] = [
  { title: 'CLASS', align: 'left' },
  { title: 'OBJECTS', align: 'right' },
  { title: 'MIB', align: 'right' },
  { title: 'WHY', align: 'left' },
]

/** Live objects in one row, the others by their reason. */
function summaryOf(items: readonly Item[]): string {
  const groups = new Map<string, { class: string; why: string; objects: number; bytes: number }>()
  for (const item of items) {
    const why = item.class === 'live' ? 'needed' : item.reason
    const id = `${item.class} ${why}`
    const group = groups.get(id) ?? { class: item.class, why, objects: 0, bytes: 0 }
    group.objects++
    group.bytes += item.sizeBytes
    groups.set(id, group)
  }
  const order = ['live', 'pending', 'orphan']
  const rows = [...groups.values()]
    .sort((a, b) => order.indexOf(a.class) - order.indexOf(b.class) || b.bytes - a.bytes)
    .map(({ class: name, objects, bytes, why }) => [name, objects, mebibytes(bytes), why])
  return rows.length === 0 ? '' : table(summaryColumns, rows)
}

const orphanColumns: Column[] = [
  { title: 'ORPHAN', align: 'left' },
  { title: 'MIB', align: 'right' },
  { title: 'WRITTEN (UTC)', align: 'left' },
]

function orphanTable(orphans: readonly Item[]): string {
  const shown = orphans.slice(0, orphansShownMax)
  const rows = shown.map(({ name, sizeBytes, lastModifiedMs }) => [
    name,
    mebibytes(sizeBytes),
    utcTime(lastModifiedMs),
  ])
  const more = orphans.length - shown.length
  return (
    table(orphanColumns, rows) +
    (more === 0 ? '' : `and ${more.toLocaleString('en')} more; --json has all.\n`)
  )
}

function outcome(
  report: OrphanReport,
  orphans: number,
  deleted: DeletedOrphans | undefined,
): string {
  if (orphans === 0) return `Job ${report.jobId} has no orphans.\n`
  const found = `${counted(orphans, 'orphan')}, ${mebibytes(report.orphanBytes)} MiB.`
  if (deleted === undefined) return `${found} Nothing was deleted: give --delete to do so.\n`
  const { deletedObjects, deletedUploads, deletedBytes, spared } = deleted
  const lines = spared.map(({ location, reason }) => `Spared ${printable(location)}: ${reason}.\n`)
  return (
    `${found} Deleted ${counted(deletedObjects, 'object')} and ${counted(deletedUploads, 'unfinished upload')}, ` +
    `${mebibytes(deletedBytes)} MiB.\n${lines.join('')}`
  )
}
