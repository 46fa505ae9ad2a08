/** Runs one part in a process of its own and takes what it gives. */
import { spawn } from 'node:child_process'
import { loadNow } from './environment.js'
import type { SuitePart } from './parts.js'
import type { PartResult, RunSize } from './result.js'

/** Of standard output: one line of JSON. */
const OUTPUT_BYTES_MAX = 2 ** 26

/** Never rejects: a part that cannot be measured is a result too. Its progress goes to standard error as it comes. */
export async function runPart(suitePart: SuitePart, size: RunSize): Promise<PartResult> {
  const { name, module, read } = suitePart
  const start = performance.now()
  const loadStart = loadNow()
  const parameters = ['--import', 'tsx', module, '--json', ...suitePart.parameters[size]]
  const about = (): Pick<PartResult, 'name' | 'seconds' | 'load'> => ({
    name,
    seconds: Math.round((performance.now() - start) / 1000),
    load: { start: loadStart, end: loadNow() },
  })
  try {
    const part = read(await lastLineOf(parameters), size)
    return { ...about(), status: 'measured', part }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { ...about(), status: 'failed', reason }
  }
}

/** Rejects unless the process printed a line. Status 1 with a line is a goal that was missed. */
function lastLineOf(parameters: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, parameters, { stdio: ['ignore', 'pipe', 'inherit'] })
    const chunks: Buffer[] = []
    let bytes = 0
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > OUTPUT_BYTES_MAX) child.kill()
    })
    child.on('error', reject)
    child.on('close', (status, signal) => {
      const line = Buffer.concat(chunks).toString('utf8').trimEnd().split('\n').at(-1) ?? ''
      const ended = signal === null ? `status ${status}` : `signal ${signal}`
      if (signal !== null || (status !== 0 && status !== 1) || line === '') {
        reject(new Error(`it ended with ${ended} and gave no figures; its output says why`))
      } else resolve(line)
    })
  })
}
