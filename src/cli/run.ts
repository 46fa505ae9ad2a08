/** The command line of the package: picks the command, and turns what it throws into a line and an exit code. */
import { StateBackendError } from '../errors.js'
import type { Command, CommandWorld, ExitCode } from './command.js'
import { printable } from './format.js'
import { listCommand } from './list-command.js'
import { orphansCommand } from './orphans-command.js'
import { UsageError } from './usage-error.js'
import { verifyCommand } from './verify-command.js'

const commands: readonly Command[] = [listCommand, verifyCommand, orphansCommand]

const usage = `Usage: level-state-backend <command> <storage> --job J [options]

Looks after the checkpoints of a job in their storage.

Commands:
${commands.map(({ name, summary }) => `  ${name.padEnd(8)}  ${summary}\n`).join('')}
level-state-backend <command> --help tells more.
`

/** `argv` is without the program's own name. Never rejects but for a bug; errors go to `stderr`. */
export async function run(argv: readonly string[], world: CommandWorld): Promise<ExitCode> {
  const [name, ...args] = argv
  try {
    if (name === '--help') return help(usage, world)
    const command = commands.find((each) => each.name === name)
    if (command === undefined) throw unknownCommand(name)
    if (args.includes('--help')) return help(command.usage, world)
    return await command.run(args, world)
  } catch (error) {
    return report(error, world)
  }
}

function help(text: string, { stdout }: CommandWorld): ExitCode {
  stdout.write(text)
  return 0
}

function unknownCommand(name: string | undefined): UsageError {
  const names = commands.map((each) => each.name).join(', ')
  const given = name === undefined ? 'Give a command' : `${JSON.stringify(name)} is no command`
  return new UsageError(`${given}: ${names}, or --help.`)
}

function report(error: unknown, { stderr }: CommandWorld): ExitCode {
  if (error instanceof UsageError) {
    stderr.write(`level-state-backend: ${printable(error.message)}\n`)
    return 2
  }
  if (!(error instanceof StateBackendError)) throw error
  stderr.write(`level-state-backend: ${error.code}: ${printable(error.message)}\n`)
  return error.code === 'INVALID_ARGUMENT' ? 2 : 1
}
