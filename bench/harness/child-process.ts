/** A measurement in a process of its own: it shares no heap, no compiled code and no open file with another. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { endChild, endWithParent, isEnding, ownChild } from './lifetime.js'

/** Of standard output: the results of one child. */
const OUTPUT_BYTES_MAX = 2 ** 26
/** Of standard error: what came last, as the reason is there. */
const ERROR_CHARACTERS_MAX = 2 ** 16
/** The longest measurements, of gigabytes over hundreds of checkpoints, take well under an hour: one that takes this long hangs. */
const MEASUREMENT_TIMEOUT_MS = 4 * 3_600_000
/** To remove its temporary directories in. */
const GRACE_MS = 5000

export interface ChildOptions {
  /** Where it goes: to this process's own, or into the result. */
  readonly stderr: 'inherit' | 'pipe'
  readonly timeoutMs: number
  /** From the request to end until it is killed. */
  readonly graceMs: number
}

export interface ChildEnd {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  /** At most the last 65,536 characters. */
  readonly stderr: string
}

/**
 * Runs this Node.js with `parameters`. Rejects when that takes too long or prints too much, and not because of a status. The child is
 * told to end when this process is, and from then on the promise never settles, so that nothing follows on it.
 */
export function runNode(parameters: readonly string[], options: ChildOptions): Promise<ChildEnd> {
  const { stderr: errorTo, timeoutMs, graceMs } = options
  return new Promise((resolve, reject) => {
    if (isEnding()) return
    const stdio = ['ignore', 'pipe', errorTo, 'ipc'] as const
    const child = spawn(process.execPath, parameters, { stdio: [...stdio] })
    ownChild(child, graceMs)
    let failure: Error | undefined
    const stop = (why: string): void => {
      failure = new Error(why)
      void endChild(child)
    }
    const timer = setTimeout(
      () => stop(`it took longer than ${timeoutMs / 60_000} minutes`),
      timeoutMs,
    )
    let [stdout, stderr] = ['', '']
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      if (stdout.length > OUTPUT_BYTES_MAX && failure === undefined) stop('it printed too much')
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-ERROR_CHARACTERS_MAX)
    })
    child.once('error', (error) => (failure = error))
    child.once('close', (status, signal) => {
      clearTimeout(timer)
      if (isEnding()) return
      if (failure === undefined) resolve({ status, signal, stdout, stderr })
      else reject(failure)
    })
  })
}

/** Runs `parts[name](...args)` of the module at `url`, which calls `answerParent(parts)`, and returns what that resolves to. */
export async function inChild<T>(url: URL, name: string, ...args: unknown[]): Promise<T> {
  const parameters = ['--expose-gc', '--import', 'tsx', fileURLToPath(url), name]
  const end = await runNode([...parameters, JSON.stringify(args)], {
    stderr: 'pipe',
    timeoutMs: MEASUREMENT_TIMEOUT_MS,
    graceMs: GRACE_MS,
  })
  if (end.status !== 0) throw new FailedChild(name, end)
  return JSON.parse(end.stdout) as T
}

class FailedChild extends Error {
  readonly stderr: string
  readonly code: number | null
  readonly signal: string | null

  constructor(name: string, { status, signal, stderr }: ChildEnd) {
    super(`${COMMAND_FAILED}: ${name}\n${stderr}`)
    this.stderr = stderr
    this.code = status
    this.signal = signal
  }
}

/** As the message of a child that failed begins, in Node.js too. */
const COMMAND_FAILED = 'Command failed'
/** What standard error calls it: `TypeError: no state`, `Error [ERR_X]: no file`, `java.io.IOException: no space`. */
const NAMED_ERROR = /(?<![\w$.])(?:[\w$.]*(?:Error|Exception)|FATAL ERROR)(?: \[\w+\])?(?:: .*|$)/

/** Why a measurement failed, in one line without a stack: of a child the last error it named, else the error's message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { message, stderr, code, signal }: ChildError = error
  const lines = stderr?.split('\n') ?? []
  const named = lines.flatMap((line) => NAMED_ERROR.exec(line.trimEnd())?.[0] ?? []).at(-1)
  if (named !== undefined) return named.replace(/ imported from .*/, '')
  // The rest is the whole command line and all of standard error.
  if (!message.startsWith(COMMAND_FAILED)) return message
  return signal ? `the process was ended by ${signal}` : `the process ended with status ${code}`
}

/** Of `inChild`, of `execFile`, or any other. */
interface ChildError extends Error {
  readonly stderr?: string
  readonly code?: string | number | null
  readonly signal?: string | null
}

/** The other end: the part that was asked for, its result as JSON on standard output. Ends when the parent is gone. */
export async function answerParent(
  parts: Readonly<Record<string, (...args: never[]) => Promise<unknown>>>,
): Promise<void> {
  endWithParent()
  const [name, json] = process.argv.slice(2)
  const part = parts[name ?? ''] as ((...args: unknown[]) => Promise<unknown>) | undefined
  if (part === undefined) throw new Error(`no part ${name}`)
  const result = await part(...(JSON.parse(json ?? '[]') as unknown[]))
  process.stdout.write(JSON.stringify(result ?? null))
}
