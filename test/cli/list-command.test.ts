import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runCommand, StoredJob } from './cli-fixture.js'

describe('list', () => {
  it('shows every checkpoint in a row', async () => {
    const job = new StoredJob()
    await job.process(100)
    const { exitCode, stdout, stderr } = await runCommand(['list', job.directory, '--job', 'job'])
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    const [title, ...rows] = stdout.trimEnd().split('\n')
    expect(title).toBe(
      'ID  EPOCH  KIND        TIME (UTC)           OPERATORS  TABLES  MIB  NEW MIB',
    )
    expect(rows.length).toBe(3)
    rows.forEach((row, index) => {
      expect(row).toMatch(
        /^ [234] {6}1 {2}checkpoint {2}20\d\d-\d\d-\d\d \d\d:\d\d:\d\d {2}operator {5,}\d+ {2}0\.0 {6}0\.0$/,
      )
      expect(row.trim().startsWith(`${index + 2}`)).toBe(true)
    })
  })

  it('prints one JSON object with the same', async () => {
    const job = new StoredJob()
    await job.process(100)
    const { stdout } = await runCommand(['list', job.directory, '--json', '--job', 'job'])
    const { jobId, checkpoints, unreadable } = JSON.parse(stdout)
    expect({ jobId, unreadable }).toEqual({ jobId: 'job', unreadable: [] })
    expect(checkpoints).toMatchObject(
      [2, 3, 4].map((checkpointId) => ({
        checkpointId,
        epoch: 1,
        kind: 'checkpoint',
        operators: ['operator'],
      })),
    )
    for (const { tables, stateBytes, newBytes, timestampMs } of checkpoints) {
      expect(tables).toBeGreaterThan(0)
      expect(stateBytes).toBeGreaterThanOrEqual(newBytes)
      expect(newBytes).toBeGreaterThan(0)
      expect(timestampMs).toBeGreaterThan(Date.UTC(2024))
    }
  })

  it('says when there is none', async () => {
    const job = new StoredJob()
    await job.process(10)
    const { exitCode, stdout } = await runCommand(['list', job.directory, '--job', 'other'])
    expect(exitCode).toBe(0)
    expect(stdout).toBe(`Job other has no checkpoint in directory ${job.directory}.\n`)
  })

  it('names a checkpoint that cannot be read, and shows the others', async () => {
    const job = new StoredJob()
    await job.process(100)
    await job.leave('job/chk-3/_metadata', '\u001b[31m?')
    const text = await runCommand(['list', job.directory, '--job', 'job'])
    expect(text.exitCode).toBe(1)
    expect(text.stdout.trimEnd().split('\n').length).toBe(4)
    expect(text.stdout).toContain('Checkpoint 3 cannot be read: METADATA_DAMAGED: ')
    expect(text.stdout).not.toContain('\u001b')
    const json = await runCommand(['list', job.directory, '--job', 'job', '--json'])
    expect(json.exitCode).toBe(1)
    expect(JSON.parse(json.stdout).unreadable).toMatchObject([
      { checkpointId: 3, code: 'METADATA_DAMAGED' },
    ])
    await rm(join(job.directory, 'job', 'chk-3'), { recursive: true })
    expect((await runCommand(['list', job.directory, '--job', 'job'])).exitCode).toBe(0)
  })
})
