import { rmSync } from 'node:fs'
import { truncate, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runCommand, StoredJob } from './cli-fixture.js'

describe('verify', () => {
  async function verify(job: StoredJob, ...args: string[]) {
    return runCommand(['verify', job.directory, '--job', 'job', ...args])
  }

  /** The file of a table. */
  async function tableOf(job: StoredJob): Promise<string> {
    const table = (await job.keys()).find((key) => key.startsWith('job/shared/'))
    return join(job.directory, table ?? 'there is no table')
  }

  it('finds every checkpoint whole', async () => {
    const job = new StoredJob()
    await job.process(100)
    const { exitCode, stdout, stderr } = await verify(job)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toMatch(/^(Checkpoint [234] is whole \(\d+ objects?, 0\.0 MiB\)\.\n){3}$/)
  })

  it('finds one whole, by its id', async () => {
    const job = new StoredJob()
    await job.process(100)
    const { exitCode, stdout } = await verify(job, '--checkpoint', '3', '--json')
    expect(exitCode).toBe(0)
    const { jobId, checkpoints, unreadable } = JSON.parse(stdout)
    expect({ jobId, unreadable }).toEqual({ jobId: 'job', unreadable: [] })
    expect(checkpoints).toMatchObject([{ checkpointId: 3, problems: [] }])
    expect(checkpoints[0].bytes).toBeGreaterThan(0)
  })

  it.each([
    ['cut short', (path: string) => truncate(path, 5), 'OBJECT_DAMAGED'],
    ['gone', (path: string) => unlink(path), 'OBJECT_MISSING'],
  ])('names the object that is %s', async (_, damage, code) => {
    const job = new StoredJob()
    await job.process(10)
    const path = await tableOf(job)
    await damage(path)
    const text = await verify(job)
    expect(text.exitCode).toBe(1)
    expect(text.stdout).toContain('Checkpoint 1 is damaged')
    expect(text.stdout).toContain(`  ${code}: `)
    const location = path.slice(join(job.directory, 'job/').length)
    expect(text.stdout).toContain(location)
    const json = await verify(job, '--json')
    expect(json.exitCode).toBe(1)
    expect(JSON.parse(json.stdout).checkpoints).toMatchObject([
      { checkpointId: 1, problems: [{ location, code }] },
    ])
  })

  it('names a checkpoint whose _metadata is damaged, unless another one is asked for', async () => {
    const job = new StoredJob()
    await job.process(100)
    await job.leave('job/chk-3/_metadata')
    const all = await verify(job)
    expect(all.exitCode).toBe(1)
    expect(all.stdout).toContain('Checkpoint 3 cannot be read: METADATA_DAMAGED: ')
    expect(all.stdout.match(/is whole/g)?.length).toBe(2)
    expect((await verify(job, '--checkpoint', '3')).exitCode).toBe(1)
    expect((await verify(job, '--checkpoint', '2')).exitCode).toBe(0)
  })

  it('takes no checkpoint for a failure: whoever asks relies on one', async () => {
    const job = new StoredJob()
    await job.process(100)
    const one = await verify(job, '--checkpoint', '1')
    expect(one).toMatchObject({ exitCode: 1, stderr: '' })
    expect(one.stdout).toBe(`Job job has no checkpoint 1 in directory ${job.directory}.\n`)
    const all = await runCommand(['verify', job.directory, '--job', 'other'])
    expect(all.exitCode).toBe(1)
    expect(all.stdout).toContain('Job other has no checkpoint in')
  })

  it('takes what the running job deletes meanwhile for no damage', async () => {
    const job = new StoredJob()
    await job.process(10)
    await unlink(await tableOf(job))
    const args = ['verify', job.directory, '--job', 'job']
    const { exitCode, stdout } = await runCommand(args, {
      isTTY: true,
      onProgress: () =>
        rmSync(join(job.directory, 'job', 'chk-1'), { recursive: true, force: true }),
    })
    expect(exitCode).toBe(1)
    expect(stdout).toBe(`Job job has no checkpoint in directory ${job.directory}.\n`)
  })

  it('shows its progress on a terminal, and removes it', async () => {
    const job = new StoredJob()
    await job.process(10)
    const args = ['verify', job.directory, '--job', 'job']
    const { stdout, stderr } = await runCommand(args, { isTTY: true })
    expect(stderr).toBe('\r\u001b[KCheckpoint 1: read 0.0 of 0.0 MiB\r\u001b[K')
    expect(stdout).not.toContain('\r')
    expect(await runCommand(args)).toMatchObject({ stdout, stderr: '' })
  })
})
