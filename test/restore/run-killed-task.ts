/** Runs `killed-task.ts` in a process of its own until it has said its line, and kills it with SIGKILL. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { KilledTaskOptions } from './killed-task.js'

const script = fileURLToPath(new URL('./killed-task.ts', import.meta.url))

/** The line. `environment` is added to this process's own. */
export async function runKilledTask(
  options: KilledTaskOptions,
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  })
  const ended = once(child, 'close')
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the task ended before it was killed')
    return value
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}
