/**
 * Runs a command beside a real S3 server, which it finds by its environment: `npm run with-s3 -- npm run test:s3`. The exit code
 * is the command's.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { startServer } from './versitygw.js'

const [command, ...args] = process.argv.slice(2)
if (command === undefined) {
  process.stderr.write('Give a command to run: npm run with-s3 -- npm run test:s3\n')
  process.exit(2)
}

try {
  const server = await startServer()
  try {
    process.exitCode = await run(command, args, server.environment)
  } finally {
    await server.stop()
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

/** A signal that would end us ends the command; then the server is stopped as always. */
async function run(
  program: string,
  parameters: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const child = spawn(program, parameters, {
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  })
  const forward = (signal: NodeJS.Signals): boolean => child.kill(signal)
  process.on('SIGINT', forward).on('SIGTERM', forward)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) =>
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
      )
    })
  } finally {
    process.off('SIGINT', forward).off('SIGTERM', forward)
  }
}
