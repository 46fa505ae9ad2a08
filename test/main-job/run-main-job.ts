/** Runs the main job as a newcomer does, in a process of its own. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { temporaryDirectory } from '../support/state-task.js'

const main = fileURLToPath(new URL('../../bench/flights/main.ts', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly out: string[]
  readonly err: string
  /** Where its temporary files would lie. */
  readonly temporary: string
}

export async function runMainJob(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const temporary = temporaryDirectory()
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main, ...args], {
    env: { ...process.env, ...environment, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve)
  })
  return { code, out: out.trimEnd().split('\n'), err, temporary }
}
