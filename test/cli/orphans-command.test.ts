import { beforeEach, describe, expect, it } from 'vitest'
import type { OrphanReport } from '../../src/restore/orphans.js'
import { expectedResults } from '../host/counting-job.js'
import { exclusiveName, sharedName } from '../restore/orphans-fixture.js'
import { runCommand, StoredJob, type CommandResult } from './cli-fixture.js'

describe('orphans', () => {
  let job: StoredJob
  /** Everything in storage that is no orphan. */
  let needed: string[]
  const orphans = (...args: string[]): Promise<CommandResult> =>
    runCommand(['orphans', job.directory, '--job', 'job', ...args])

  beforeEach(async () => {
    job = new StoredJob()
    await job.process(50)
    await job.process(100)
    needed = await job.keys()
  })

  /** What a crash leaves: of a put, of a checkpoint that was not completed, of a deletion. */
  async function crash(): Promise<void> {
    await job.leave('.pending/upload')
    await job.leave(`job/${sharedName(1)}`)
    await job.leave(`job/${exclusiveName(9, 1)}`)
    await job.leave('job/epochs/1')
    await job.leave('job/README.txt')
    needed = [...needed, 'job/README.txt'].sort()
  }

  it('finds none after a job that ended well', async () => {
    const { exitCode, stdout, stderr } = await orphans()
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toMatch(
      /^CLASS  OBJECTS  MIB  WHY\nlive +\d+  0\.0  needed\n\nJob job has no orphans\.\n$/,
    )
  })

  it('finds what a crash left, and deletes nothing', async () => {
    await crash()
    const before = await job.keys()
    const { exitCode, stdout } = await orphans()
    expect(exitCode).toBe(1)
    for (const name of [
      sharedName(1),
      exclusiveName(9, 1),
      'epochs/1',
      'unfinished upload upload',
    ]) {
      expect(stdout).toMatch(new RegExp(`^${name} +0\\.0  1970-01-01 00:00:01$`, 'm'))
    }
    expect(stdout).toMatch(/^pending +1 +0\.0 +unknown: /m)
    expect(stdout).toMatch(/^orphan +1 +0\.0 +its put never ended$/m)
    expect(stdout).toContain('4 orphans, 0.0 MiB. Nothing was deleted: give --delete to do so.\n')
    expect(await job.keys()).toEqual(before)
    expect((await orphans()).stdout).toBe(stdout)
  })

  it('prints the whole report as one JSON object', async () => {
    await crash()
    const { exitCode, stdout } = await orphans('--json')
    expect(exitCode).toBe(1)
    const report = JSON.parse(stdout) as OrphanReport
    expect(report).toMatchObject({
      jobId: 'job',
      minAgeMs: 24 * 60 * 60 * 1000,
      unreadableCheckpoints: [],
      unfinished: [{ id: 'upload', class: 'orphan', sizeBytes: 9 }],
      orphanBytes: 4 * 9,
      deleted: null,
    })
    const keys = report.objects.map(({ location }) => `job/${location}`)
    expect(keys).toEqual(await job.keys())
  })

  it('with --delete leaves every live object, and the job goes on from its checkpoint', async () => {
    await crash()
    const { exitCode, stdout } = await orphans('--delete')
    expect(exitCode).toBe(0)
    expect(stdout).toContain(
      '4 orphans, 0.0 MiB. Deleted 3 objects and 1 unfinished upload, 0.0 MiB.\n',
    )
    expect(await job.keys()).toEqual(needed)
    const again = await orphans('--delete', '--json')
    expect(again.exitCode).toBe(0)
    expect(JSON.parse(again.stdout)).toMatchObject({
      orphanBytes: 0,
      unfinished: [],
      deleted: { deletedObjects: 0, deletedUploads: 0, deletedBytes: 0, spared: [] },
    })
    const whole = await runCommand(['verify', job.directory, '--job', 'job'])
    expect(whole.exitCode).toBe(0)
    expect(await job.process(150)).toEqual(expectedResults(150))
  })

  it.each([
    ['47h', 1],
    ['2879m', 1],
    ['172799s', 1],
    ['0', 1],
    ['172800s', 0],
    ['2d', 0],
    ['48h', 0],
  ])('with --min-age %s counts only what is older', async (minAge, exitCode) => {
    await job.leave('.pending/upload')
    expect((await orphans('--min-age', minAge)).exitCode).toBe(exitCode)
  })

  it('spares what an unreadable checkpoint may name, and says so', async () => {
    await crash()
    await job.leave('job/chk-8/_metadata', '?')
    const { exitCode, stdout } = await orphans('--delete')
    expect(exitCode).toBe(1)
    expect(stdout).toContain(
      'Checkpoint 8 cannot be read, so what it may name is spared: METADATA_DAMAGED',
    )
    expect(stdout).toMatch(/^pending +1 +0\.0 +checkpoint 8 cannot be read, and may name it$/m)
    expect(await job.keys()).toEqual(expect.arrayContaining([...needed, `job/${sharedName(1)}`]))
    expect(await job.keys()).not.toContain(`job/${exclusiveName(9, 1)}`)
  })

  it('shows the first of very many, and counts the rest', async () => {
    for (let n = 0; n < 203; n++) await job.leave(`job/${sharedName(n)}`)
    const { stdout } = await orphans()
    expect(stdout.match(/^shared\//gm)?.length).toBe(200)
    expect(stdout).toContain('and 3 more; --json has all.\n')
    expect(stdout).toContain('203 orphans')
  })

  it('does not let a name write to the terminal', async () => {
    await job.leave('.pending/up\u009bload')
    expect((await orphans()).stdout).not.toContain('\u009b')
  })

  it('shows on a terminal that it is at work', async () => {
    const args = ['orphans', job.directory, '--job', 'job']
    const { stderr } = await runCommand(args, { isTTY: true })
    expect(stderr).toBe('\r\u001b[KLooking through job job\r\u001b[K')
  })
})
