import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../support/state-task.js'
import { runCommand, StoredJob, type CommandResult } from './cli-fixture.js'

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** The program as a process of its own. */
async function spawned(args: readonly string[], { isRead = true } = {}): Promise<CommandResult> {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const written = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written.stdout += text))
  if (!isRead) child.stdout.destroy()
  child.stderr.setEncoding('utf8').on('data', (text: string) => (written.stderr += text))
  const [exitCode] = (await once(child, 'close')) as [number]
  return { exitCode, ...written }
}

describe('the command line', () => {
  it('runs as a program', async () => {
    const job = new StoredJob()
    await job.process(10)
    const { exitCode, stdout, stderr } = await spawned(['verify', job.directory, '--job', 'job'])
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toMatch(/^Checkpoint 1 is whole/)
    const unread = await spawned(['list', job.directory, '--job', 'job'], { isRead: false })
    expect(unread).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    expect(await spawned([])).toMatchObject({ exitCode: 2, stdout: '' })
  })

  it.each(['list', 'verify', 'orphans'])(
    '%s --help tells of every option and exit code',
    async (name) => {
      const { exitCode, stdout, stderr } = await runCommand([name, '--help'])
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
      expect(stdout).toMatch(new RegExp(`^Usage: level-state-backend ${name} <storage> --job J`))
      for (const part of [
        '<storage> ',
        '--job J ',
        '--json ',
        '--help ',
        'Exit code: 0',
        '2 for wrong',
      ]) {
        expect(stdout).toContain(part)
      }
      const widest = Math.max(...stdout.split('\n').map((line) => line.length))
      expect(widest).toBeLessThanOrEqual(140)
    },
  )

  it('--help names the commands', async () => {
    const { exitCode, stdout } = await runCommand(['--help'])
    expect(exitCode).toBe(0)
    for (const name of ['list', 'verify', 'orphans']) {
      expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, 'm'))
    }
  })

  it.each([
    [[], /Give a command: list, verify, orphans, or --help\./],
    [['lst'], /"lst" is no command: list, verify, orphans, or --help\./],
    [['list'], /Name the storage/],
    [['list', '', '--job', 'job'], /Name the storage/],
    [['list', '.'], /Name the job: --job J/],
    [['list', '.', 'b', '--job', 'job'], /One storage at a time, not also b\./],
    [['list', '.', '--job'], /'--job <value>' argument missing/],
    [['list', '.', '--job', 'a/b'], /INVALID_ARGUMENT: "a\/b" is not a job id/],
    [['list', '.', '--job', 'job', '--jsn'], /Unknown option '--jsn'\.$/m],
    [['list', '.', '--job', 'job', '--delete'], /Unknown option '--delete'/],
    [['list', 'not-there', '--job', 'job'], /There is no directory not-there/],
    [
      ['list', 'gs://bucket/prefix', '--job', 'job'],
      /gs:\/\/ is no storage that this command opens/,
    ],
    [['list', 's3://', '--job', 'job'], /s3:\/\/ names no bucket/],
    [
      ['list', '.', '--job', 'job', '--s3-endpoint', 'http://127.0.0.1:9000'],
      /--s3-endpoint goes with a storage s3:/,
    ],
    [['verify', '.', '--job', 'job', '--checkpoint', 'x'], /--checkpoint takes .* not "x"/],
    [['verify', '.', '--job', 'job', '--checkpoint', '0'], /--checkpoint takes .* not "0"/],
    [['orphans', '.', '--job', 'job', '--min-age', '24'], /--min-age takes .* not "24"/],
    [['orphans', '.', '--job', 'job', '--min-age', '1w'], /--min-age takes .* not "1w"/],
    [['orphans', '.', '--job', 'job', '--min-age=-1h'], /--min-age takes .* not "-1h"/],
  ])('answers %j with one line that says what to do, and 2', async (args, message) => {
    const { exitCode, stdout, stderr } = await runCommand(args)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toMatch(/^level-state-backend: [^\n]+\n$/)
    expect(stderr).toMatch(message)
  })

  it('does not take a file for a storage', async () => {
    const file = join(temporaryDirectory(), 'file')
    await writeFile(file, '')
    const { exitCode, stderr } = await runCommand(['list', file, '--job', 'job'])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('is no directory')
  })

  it('tells the code of a storage that fails, and answers 1', async () => {
    const directory = temporaryDirectory()
    await symlink(join(directory, 'job'), join(directory, 'job'))
    for (const name of ['list', 'verify', 'orphans']) {
      const { exitCode, stdout, stderr } = await runCommand([name, directory, '--job', 'job'])
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
      expect(stderr).toMatch(/^level-state-backend: STORAGE_FAILED: [^\n]+\n$/)
    }
  })
})
