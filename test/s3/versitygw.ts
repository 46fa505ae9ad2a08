/**
 * A real S3 server for one run: versitygw, built from its Go module by the `go` of this machine, over a directory that is removed
 * at the end. It listens on a port of its own of the loopback interface, with credentials made for the run.
 *
 * Whatever goes wrong fails the run with a message that says what to do; nothing is skipped.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, open, readFile, rename, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const MODULE = 'github.com/versity/versitygw/cmd/versitygw'
const VERSION = 'v1.8.0'
/** Ignored by git. */
const cacheDirectory = fileURLToPath(new URL(`../../temp/versitygw-${VERSION}`, import.meta.url))

const BUCKET = 'checkpoints'
const REGION = 'us-east-1'
/** Another process may take a port between our finding it free and the server's taking it. */
const STARTS_MAX = 3
const ANSWER_TIMEOUT_MS = 30_000
const ANSWER_POLL_MS = 100
const STOP_TIMEOUT_MS = 10_000

export interface RunningServer {
  /** For a process that is to use it: the SDK's usual variables, and ours. */
  readonly environment: Readonly<Record<string, string>>
  stop(): Promise<void>
}

export async function startServer(): Promise<RunningServer> {
  const binary = await install()
  for (let starts = 1; ; starts++) {
    const directory = await mkdtemp(join(tmpdir(), 'level-state-backend-s3-'))
    try {
      return await start(binary, directory)
    } catch (error) {
      await rm(directory, { recursive: true, force: true })
      if (starts === STARTS_MAX) throw error
    }
  }
}

/** The path of the program, built once per checkout: about two minutes where nothing of it was ever built. */
async function install(): Promise<string> {
  const binary = join(cacheDirectory, 'versitygw')
  if (existsSync(binary)) return binary
  process.stdout.write(`Building ${MODULE}@${VERSION} …\n`)
  await mkdir(cacheDirectory, { recursive: true })
  const building = await mkdtemp(join(cacheDirectory, 'building-'))
  try {
    const exitCode = await run('go', ['install', `${MODULE}@${VERSION}`], { GOBIN: building })
    if (exitCode !== 0) {
      throw new Error(`go install failed with exit code ${exitCode}; its own words are above.`)
    }
    // Whole or not there, also when two runs build it at once.
    await rename(join(building, 'versitygw'), binary)
  } finally {
    await rm(building, { recursive: true, force: true })
  }
  return binary
}

async function run(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...environment },
  })
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => resolve(code ?? 1))
    child.once('error', (cause) => {
      const advice =
        'Go 1.25 or later is needed to build the S3 server of this run. Install it so that `go` is on the PATH, or run ' +
        '`npm run test:s3` against an endpoint of your own.'
      reject(new Error(`Cannot run ${command}: ${cause.message}. ${advice}`, { cause }))
    })
  })
}

async function start(binary: string, directory: string): Promise<RunningServer> {
  const port = await freePort()
  const accessKeyId = `AKID${randomBytes(8).toString('hex')}`
  const secretAccessKey = randomBytes(20).toString('hex')
  const data = join(directory, 'data')
  // A directory of the server's data is a bucket.
  await mkdir(join(data, BUCKET), { recursive: true })
  await mkdir(join(directory, 'attributes'))
  const logPath = join(directory, 'log')
  const log = await open(logPath, 'w')
  const address = `127.0.0.1:${port}`
  const options = ['--quiet', '--keep-alive', '--port', address, '--region', REGION]
  // Attributes in files of their own: not every file system of a machine keeps extended ones.
  const backend = ['posix', '--sidecar', join(directory, 'attributes'), data]
  const child = spawn(binary, [...options, ...backend], {
    stdio: ['ignore', log.fd, log.fd],
    env: { ...process.env, ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
  })
  const ended = endOf(child)
  await log.close()
  try {
    await waitForAnswer(`http://${address}/`, child)
  } catch (cause) {
    await kill(child, ended)
    const words = await readFile(logPath, 'utf8')
    throw new Error(`The S3 server did not start. It wrote:\n${words}`, { cause })
  }
  return {
    environment: {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: REGION,
      LSB_S3_ENDPOINT: `http://${address}`,
      LSB_S3_BUCKET: BUCKET,
    },
    stop: async () => {
      await kill(child, ended)
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Resolves when the process is gone, or was never there. */
function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Any answer will do: without a signature it is a refusal. */
async function waitForAnswer(url: string, child: ChildProcess): Promise<void> {
  const deadlineMs = performance.now() + ANSWER_TIMEOUT_MS
  while (performance.now() < deadlineMs) {
    if (child.exitCode !== null) throw new Error(`it ended with exit code ${child.exitCode}`)
    try {
      await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
      return
    } catch {
      await sleep(ANSWER_POLL_MS)
    }
  }
  throw new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)
}

async function kill(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await ended
  clearTimeout(timer)
}
