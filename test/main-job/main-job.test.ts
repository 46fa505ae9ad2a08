/** The main job as a newcomer runs it, over fewer flights. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseOptions, UsageError } from '../../bench/flights/options.js'
import { temporaryDirectory } from '../support/state-task.js'
import { runMainJob } from './run-main-job.js'

const RECORDS = 60_000

describe('the main job', () => {
  it.each([
    ['leveldb', 2, 3],
    ['hashmap', 3, 1],
  ])(
    'with %s and parallelism %i is killed, comes back with %i and is identical',
    async (stateBackend, parallelism, restoreParallelism) => {
      const { code, out, err, temporary } = await runMainJob([
        `--records=${RECORDS}`,
        `--parallelism=${parallelism}`,
        `--restore-parallelism=${restoreParallelism}`,
        `--state-backend=${stateBackend}`,
        '--json',
      ])
      expect(err).toBe('')
      expect(code).toBe(0)
      const result = JSON.parse(out.at(-1) ?? '') as Record<string, number> & {
        checkpoints: Record<string, number | string>[]
        identical: boolean
      }
      expect(Object.keys(result)).toEqual([
        'records',
        'seconds',
        'recordsPerSecond',
        'killedAtRecord',
        'restoredFromCheckpoint',
        'checkpoints',
        'identical',
      ])
      expect(result).toMatchObject({ records: RECORDS, identical: true })
      expect(result['recordsPerSecond']).toBeCloseTo(RECORDS / (result['seconds'] ?? 0), 3)
      expect(result['killedAtRecord']).toBeGreaterThanOrEqual(RECORDS / 2)
      expect(result['killedAtRecord']).toBeLessThanOrEqual(RECORDS)
      expect(result['restoredFromCheckpoint']).toBeGreaterThan(0)
      expect(out.filter((line) => line.startsWith('checkpoint '))).toHaveLength(
        result.checkpoints.length,
      )
      for (const checkpoint of result.checkpoints) {
        expect(checkpoint).toEqual({
          id: expect.any(Number),
          kind: expect.stringMatching(/^(none|delta|merge|rebase)$/),
          uploadedBytes: expect.any(Number),
          stateBytes: expect.any(Number),
          syncMs: expect.any(Number),
          asyncMs: expect.any(Number),
        })
      }
      // The second process takes over where the checkpoint is: at or before the kill, at a barrier.
      const restored = out.find((line) => line.startsWith('restored from checkpoint'))
      const flight = Number(/at flight ([\d,]+), /.exec(restored ?? '')?.[1]?.replaceAll(',', ''))
      expect(restored).toMatch(new RegExp(`, parallelism ${restoreParallelism}$`))
      expect(flight).toBeGreaterThan(0)
      expect(flight).toBeLessThanOrEqual(result['killedAtRecord'] ?? 0)
      expect(flight).toBe((result['restoredFromCheckpoint'] ?? 0) * (RECORDS / 12))
      expect(out.at(-2)).toBe('identical')
      expect(readdirSync(temporary).filter((name) => name.startsWith('flights-'))).toEqual([])
    },
  )

  it('keeps the checkpoints of a directory it was given, and runs there again', async () => {
    const directory = join(temporaryDirectory(), 'checkpoints')
    for (let run = 1; run <= 2; run++) {
      const args = ['--records', '12000', '--checkpoint-dir', directory]
      expect(await runMainJob(args)).toMatchObject({ code: 0, err: '' })
      const jobs = readdirSync(directory).filter((name) => !name.startsWith('.'))
      expect(jobs).toHaveLength(run)
      for (const job of jobs) {
        const [checkpoint] = readdirSync(join(directory, job)).filter((name) => name !== 'shared')
        expect(existsSync(join(directory, job, checkpoint ?? '', '_metadata'))).toBe(true)
      }
    }
  })

  it('explains itself', async () => {
    const { code, out, err } = await runMainJob(['--help'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    for (const option of [
      '--records',
      '--parallelism',
      '--state-backend',
      '--checkpoint-dir',
      '--s3-endpoint',
    ]) {
      expect(out.join('\n')).toContain(option)
    }
  })

  it('refuses wrong options with one line and exit code 2', async () => {
    const { code, out, err } = await runMainJob(['--state-backend', 'rocksdb'])
    expect({ code, out }).toEqual({ code: 2, out: [''] })
    expect(err).toBe(
      '--state-backend is leveldb or hashmap, not "rocksdb". See npm start -- --help.\n',
    )
  })

  it.each([
    ['--records', '0'],
    ['--records', '1e5'],
    ['--records', '3000001'],
    ['--records'],
    ['--parallelism', '2.5'],
    ['--parallelism', '33'],
    ['--restore-parallelism', '0'],
    ['--checkpoint-dir', ''],
    ['--s3-endpoint', 'http://127.0.0.1:9000'],
    ['--s3-endpoint', 'nowhere', '--checkpoint-dir', 's3://bucket'],
    ['--fast'],
    ['flights'],
  ])('says in one line what is wrong with %s %s', (...args) => {
    expect(() => parseOptions(args)).toThrow(UsageError)
    expect(() => parseOptions(args)).toThrow(new RegExp(`^[^\\n]*${args[0]}[^\\n]*$`))
  })
})
