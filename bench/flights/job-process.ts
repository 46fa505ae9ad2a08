/** Starts job.ts in a process of its own. */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { JobMessage, JobSettings } from './messages.js'

const jobPath = fileURLToPath(new URL('./job.ts', import.meta.url))

export interface JobProcess {
  /** SIGKILL: the process gets no chance to do anything more. */
  kill(): void
  /** Resolves when it has ended by itself and well, or by `kill`; rejects otherwise. */
  readonly ended: Promise<'finished' | 'killed'>
}

/** Every process is given its own temporary files below `temporaryDirectory`: a killed one cannot remove them. */
export function startJobProcess(
  settings: JobSettings,
  temporaryDirectory: string,
  onMessage: (message: JobMessage) => void,
): JobProcess {
  const child = fork(jobPath, [JSON.stringify(settings)], {
    execArgv: ['--import', import.meta.resolve('tsx')],
    env: { ...process.env, TMPDIR: temporaryDirectory, TEMP: temporaryDirectory },
    serialization: 'advanced',
  })
  return { kill: () => child.kill('SIGKILL'), ended: endOf(child, onMessage) }
}

function endOf(
  child: ChildProcess,
  onMessage: (message: JobMessage) => void,
): Promise<'finished' | 'killed'> {
  let failure = ''
  child.on('message', (message) => {
    const jobMessage = message as JobMessage
    if (jobMessage.type === 'failed') failure = `: ${jobMessage.error}`
    else onMessage(jobMessage)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (child.killed && signal === 'SIGKILL') resolve('killed')
      else if (code === 0) resolve('finished')
      else reject(new Error(`The job's process ended with ${signal ?? `code ${code}`}${failure}`))
    })
  })
}
