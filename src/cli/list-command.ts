/** `list`: the checkpoints of a job. */
import {
  distinctStates,
  handlesOf,
  statesOf,
  type CompletedCheckpoint,
} from '../checkpoint/completed-checkpoint.js'
import { storedCheckpoints } from '../host/checkpoint-selection.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import {
  COMMON_OPTIONS_USAGE,
  STORAGE_USAGE,
  parseCommand,
  writeJSON,
  type Command,
  type CommandWorld,
  type ExitCode,
} from './command.js'
import { mebibytes, printable, table, utcTime, type Column } from './format.js'

const usage = `Usage: level-state-backend list <storage> --job J [--json]

Lists the checkpoints of a job, the one that a job would go on from last.

${STORAGE_USAGE}
${COMMON_OPTIONS_USAGE}

TABLES counts the table files that the checkpoint names, MIB all of its state, NEW MIB what it brought to storage itself.

Exit code: 0, 1 when a checkpoint cannot be read, 2 for wrong arguments.
`

export interface ListedCheckpoint {
  readonly checkpointId: number
  readonly epoch: number
  readonly kind: string
  readonly timestampMs: number
  readonly operators: readonly string[]
  readonly tables: number
  /** Of all state it names, each object once. */
  readonly stateBytes: number
  /** What it brought to storage itself. */
  readonly newBytes: number
}

/** A `_metadata` that cannot be read. */
export interface ListedDamage {
  readonly checkpointId: number
  readonly code: string
  readonly message: string
}

export const listCommand: Command = {
  name: 'list',
  summary: 'lists the checkpoints of a job',
  usage,
  run,
}

async function run(args: readonly string[], world: CommandWorld): Promise<ExitCode> {
  const { storage, json } = await parseCommand(args, {})
  const { checkpoints, unreadable } = await readCheckpoints(storage)
  const listed = checkpoints.map(listedCheckpoint)
  if (json) writeJSON(world.stdout, { jobId: storage.jobId, checkpoints: listed, unreadable })
  else world.stdout.write(textOf(storage, listed, unreadable))
  return unreadable.length === 0 ? 0 : 1
}

/** In the order in which they were taken. What is deleted while it is listed is left out. */
export async function readCheckpoints(
  storage: CheckpointStorage,
): Promise<{ checkpoints: CompletedCheckpoint[]; unreadable: ListedDamage[] }> {
  const stored = await storedCheckpoints(storage, {})
  const checkpoints = stored.flatMap(({ read }) => ('error' in read ? [] : read.checkpoint))
  const unreadable = stored.flatMap(({ checkpointId, read }): ListedDamage[] => {
    if (!('error' in read)) return []
    const { code, message } = read.error
    return code === 'OBJECT_MISSING' ? [] : [{ checkpointId, code, message }]
  })
  return { checkpoints, unreadable }
}

function listedCheckpoint(checkpoint: CompletedCheckpoint): ListedCheckpoint {
  const handles = handlesOf(checkpoint)
  const tables = handles.flatMap(({ sharedState }) => sharedState.map(({ state }) => state))
  const states = distinctStates(handles.flatMap(statesOf))
  return {
    checkpointId: checkpoint.checkpointId,
    epoch: checkpoint.epoch,
    kind: checkpoint.snapshotType,
    timestampMs: checkpoint.timestampMs,
    operators: checkpoint.operators.map(({ operatorId }) => operatorId),
    tables: distinctStates(tables).length,
    stateBytes: states.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0),
    newBytes: handles.reduce((bytes, { checkpointedSize }) => bytes + checkpointedSize, 0),
  }
}

const columns: Column[] = [
  { title: 'ID', align: 'right' },
  { title: 'EPOCH', align: 'right' },
  { title: 'KIND', align: 'left' },
  { title: 'TIME (UTC)', align: 'left' },
  { title: 'OPERATORS', align: 'left' },
  { title: 'TABLES', align: 'right' },
  { title: 'MIB', align: 'right' },
  { title: 'NEW MIB', align: 'right' },
]

function textOf(
  storage: CheckpointStorage,
  checkpoints: readonly ListedCheckpoint[],
  unreadable: readonly ListedDamage[],
): string {
  const rows = checkpoints.map((each) => [
    each.checkpointId,
    each.epoch,
    each.kind,
    utcTime(each.timestampMs),
    each.operators.join(', '),
    each.tables,
    mebibytes(each.stateBytes),
    mebibytes(each.newBytes),
  ])
  const none = `Job ${storage.jobId} has no checkpoint in ${storage.objectStore.description}.\n`
  const damages = unreadable.map(
    ({ checkpointId, code, message }) =>
      `Checkpoint ${checkpointId} cannot be read: ${code}: ${printable(message)}\n`,
  )
  const found = rows.length + damages.length > 0
  return (found ? (rows.length > 0 ? table(columns, rows) : '') : none) + damages.join('')
}
