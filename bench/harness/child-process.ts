/** A measurement in a process of its own: it shares no heap, no compiled code and no open file with another. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Of standard output: the results of one child. */
const OUTPUT_BYTES_MAX = 2 ** 26

/** Runs `parts[name](...args)` of the module at `url`, which calls `answerParent(parts)`, and returns what that resolves to. */
export async function inChild<T>(url: URL, name: string, ...args: unknown[]): Promise<T> {
  const parameters = ['--expose-gc', '--import', 'tsx', fileURLToPath(url), name]
  const options = { maxBuffer: OUTPUT_BYTES_MAX }
  const { stdout } = await execute(process.execPath, [...parameters, JSON.stringify(args)], options)
  return JSON.parse(stdout) as T
}

/** The other end: the part that was asked for, its result as JSON on standard output. */
export async function answerParent(
  parts: Readonly<Record<string, (...args: never[]) => Promise<unknown>>>,
): Promise<void> {
  const [name, json] = process.argv.slice(2)
  const part = parts[name ?? ''] as ((...args: unknown[]) => Promise<unknown>) | undefined
  if (part === undefined) throw new Error(`no part ${name}`)
  const result = await part(...(JSON.parse(json ?? '[]') as unknown[]))
  process.stdout.write(JSON.stringify(result ?? null))
}
