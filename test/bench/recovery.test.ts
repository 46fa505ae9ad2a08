/** The recovery part where ways fail or are not there. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { RecoveryReport } from '../../bench/recovery/report.js'
import { WAYS } from '../../bench/recovery/ways.js'
import { readPart } from '../../bench/suite/parts.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const main = join(root, 'bench/recovery/main.ts')
/** Without Java. */
const env = { ...process.env, PATH: '' }
const timeout = 120_000

function run(...parameters: readonly string[]): SpawnSyncReturns<string> {
  const command = ['--import', 'tsx', main, ...parameters]
  return spawnSync(process.execPath, command, { cwd: root, env, encoding: 'utf8' })
}

const restored = { elapsedMs: 10, cpuMs: 20, bytesFetched: 30 }
const direction = { name: 'restore, 1 to 1', from: 1, to: 1 }

describe('a report', () => {
  it('has a way that fails with its figures and its reason, and as a goal where it is ours', () => {
    const report = new RecoveryReport(['storage', 'local', 'flink'])
    report.add(direction, 'local', 50, restored)
    report.giveUp('local', 'disk full')
    report.giveUp('flink', 'no java')
    expect(report.present).toEqual(['storage'])
    const { figures, absent, goals } = report.part({})
    expect(new Set(figures.map(({ contender }) => contender))).toEqual(new Set([WAYS.local]))
    expect(absent).toEqual({ [WAYS.local]: 'disk full', [WAYS.flink]: 'no java' })
    expect(goals).toEqual([{ text: `${WAYS.local} fails: disk full`, reached: false }])
  })

  it('has no goal where nothing of ours fails', () => {
    const report = new RecoveryReport(['storage'])
    expect(report.present).toEqual(['storage'])
    expect(report.part({}).goals).toEqual([])
  })
})

describe('npm run bench:recovery', { timeout }, () => {
  it('measures the others where one is absent', () => {
    const only = ['--only', 'storage,flink']
    const { status, stdout } = run('--state-mb', '1', '--rounds', '1', '--json', ...only)
    const { absent, figures } = readPart(stdout)
    expect(absent).toEqual({ [WAYS.flink]: 'there is no java on this machine' })
    expect(new Set(figures.map(({ contender }) => contender))).toEqual(new Set([WAYS.storage]))
    expect(new Set(figures.map(({ name }) => name)).size).toBe(9)
    expect(status).toBe(0)
  })

  it('ends with 2 where nothing can be measured', () => {
    const { status, stdout, stderr } = run('--state-mb', '1', '--json', '--only', 'flink')
    expect(stderr).toContain(
      `Nothing was measured.\n${WAYS.flink} is absent: there is no java on this machine\n`,
    )
    expect([status, stdout]).toEqual([2, ''])
  })

  it('ends with 1 where ours fails, and gives what there is', () => {
    // No file may be larger than 32 KiB.
    const limited = `ulimit -f 64; exec "${process.execPath}" --import tsx "${main}" "$@"`
    const parameters = ['-c', limited, 'sh', '--state-mb', '1', '--json']
    const options = { cwd: root, env, encoding: 'utf8' } as const
    const { status, stdout } = spawnSync('/bin/sh', parameters, options)
    const { absent, figures, goals } = readPart(stdout)
    expect(Object.keys(absent)).toEqual(Object.values(WAYS))
    expect(Object.values(absent).every((why) => why !== '' && !why.includes('\n'))).toBe(true)
    expect(goals.map(({ reached }) => reached)).toEqual([false, false])
    expect([status, figures]).toEqual([1, []])
  })

  it.each([
    [['--quick', '--full'], '--quick and --full do not go together.\n'],
    [['--state-mb', '5', '--quick'], '--state-mb and --quick exclude each other.\n'],
    [['--nothing'], "Unknown option '--nothing'"],
  ])('%j ends with 2 and says why', (parameters, message) => {
    const { status, stderr } = run(...parameters)
    expect(stderr).toContain(message)
    expect(status).toBe(2)
  })
})
