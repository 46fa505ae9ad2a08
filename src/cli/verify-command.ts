/** `verify`: reads all that checkpoints name and compares sizes and SHA-256, without restoring them. */
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import { verifyCheckpoint, type CheckpointVerification } from '../restore/verify-checkpoint.js'
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
import { counted, mebibytes, printable } from './format.js'
import { readCheckpoints, type ListedDamage } from './list-command.js'
import { Progress } from './progress.js'
import { UsageError } from './usage-error.js'

const usage = `Usage: level-state-backend verify <storage> --job J [--checkpoint N] [--json]

Reads every object that the checkpoints of a job name, and compares sizes and SHA-256: whether they can be restored. Changes nothing.

${STORAGE_USAGE}
  --checkpoint N  only the checkpoint with this id (default: all that are there)
${COMMON_OPTIONS_USAGE}

Exit code: 0 when all are whole, 1 when one is damaged or there is none, 2 for wrong arguments.
`

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'reads all that checkpoints name and compares sizes and SHA-256',
  usage,
  run,
}

async function run(args: readonly string[], world: CommandWorld): Promise<ExitCode> {
  const options = { checkpoint: { type: 'string' } } as const
  const { storage, json, values } = await parseCommand(args, options)
  const wanted = checkpointId(values['checkpoint'])
  const isWanted = (each: { checkpointId: number }): boolean =>
    wanted === undefined || each.checkpointId === wanted

  const all = await readCheckpoints(storage)
  const unreadable = all.unreadable.filter(isWanted)
  const verified: CheckpointVerification[] = []
  for (const checkpoint of all.checkpoints.filter(isWanted)) {
    const verification = await verify(storage, checkpoint, world)
    if (verification === undefined) continue
    verified.push(verification)
    if (!json) world.stdout.write(textOf(verification))
  }
  if (json) writeJSON(world.stdout, { jobId: storage.jobId, checkpoints: verified, unreadable })
  else world.stdout.write(closing(storage, wanted, verified, unreadable))

  const whole = verified.every(({ problems }) => problems.length === 0)
  return whole && verified.length > 0 && unreadable.length === 0 ? 0 : 1
}

/** `undefined` when the running job gave the checkpoint up meanwhile: what is missing then is no damage. */
async function verify(
  storage: CheckpointStorage,
  checkpoint: CompletedCheckpoint,
  world: CommandWorld,
): Promise<CheckpointVerification | undefined> {
  const { checkpointId: id } = checkpoint
  const progress = new Progress(world)
  try {
    const verification = await verifyCheckpoint(storage, checkpoint, {
      onProgress: (readBytes, totalBytes) => {
        progress.show(
          `Checkpoint ${id}: read ${mebibytes(readBytes)} of ${mebibytes(totalBytes)} MiB`,
        )
      },
    })
    if (verification.problems.length === 0) return verification
    return (await storage.listCheckpoints()).includes(id) ? verification : undefined
  } finally {
    progress.clear()
  }
}

function checkpointId(text: string | boolean | undefined): number | undefined {
  if (text === undefined) return undefined
  const id = Number(text)
  if (/^[1-9][0-9]*$/.test(String(text)) && Number.isSafeInteger(id)) return id
  throw new UsageError(
    `--checkpoint takes the id of a checkpoint, such as 7, not ${JSON.stringify(text)}.`,
  )
}

function textOf({ checkpointId: id, objects, bytes, problems }: CheckpointVerification): string {
  const read = `${counted(objects, 'object')}, ${mebibytes(bytes)} MiB`
  const verdict = problems.length === 0 ? 'is whole' : 'is damaged'
  const lines = problems.map(({ code, message }) => `  ${code}: ${printable(message)}\n`)
  return `Checkpoint ${id} ${verdict} (${read}).\n${lines.join('')}`
}

function closing(
  storage: CheckpointStorage,
  wanted: number | undefined,
  verified: readonly CheckpointVerification[],
  unreadable: readonly ListedDamage[],
): string {
  if (verified.length + unreadable.length === 0) {
    const what = wanted === undefined ? 'no checkpoint' : `no checkpoint ${wanted}`
    return `Job ${storage.jobId} has ${what} in ${storage.objectStore.description}.\n`
  }
  return unreadable
    .map(
      ({ checkpointId: id, code, message }) =>
        `Checkpoint ${id} cannot be read: ${code}: ${printable(message)}\n`,
    )
    .join('')
}
