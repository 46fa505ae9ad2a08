/** `npm run bench:state` as it is run: its arguments, contenders that fail, how it ends. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { BenchPart } from '../../bench/harness/part.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const SMALL = ['--keys', '100', '--millis', '1', '--json']
const TIMEOUT_MS = 120_000

function state(
  parameters: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): SpawnSyncReturns<string> {
  const command = ['--import', 'tsx', 'bench/state/main.ts', ...parameters]
  const env = { ...process.env, ...environment }
  return spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8', env })
}

describe('what it is asked for', { timeout: TIMEOUT_MS }, () => {
  it.each([
    [['--only', 'value,nosuch'], 'there is no "nosuch"'],
    [['--nosuch'], '--nosuch'],
    [['--quick', '--full'], 'two sizes'],
    [['--keys', '0'], '--keys must be a positive integer'],
  ])('is refused in one line: %j', (parameters, why) => {
    const { status, stdout, stderr } = state(parameters)
    expect(stderr).toContain(why)
    expect(stderr).not.toContain('    at ')
    expect([status, stdout]).toEqual([2, ''])
  })

  it('is refused when nothing of it is there', () => {
    const { status, stdout, stderr } = state([...SMALL, '--only', 'value,Flink heap'], { PATH: '' })
    expect(stderr).toContain('absent: Flink heap, there is no java on this machine')
    expect(stderr).toContain('Nothing was measured')
    expect([status, stdout]).toEqual([2, ''])
  })
})

it('keeps the figures of the others when ours fails', { timeout: TIMEOUT_MS }, () => {
  const only = ['--only', 'value,LevelDBStateBackend,Map', '--memory-mib', '1']
  const { status, stdout } = state([...SMALL, ...only])
  const part = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as BenchPart
  expect(status).toBe(1)
  expect(part.absent).toEqual({
    LevelDBStateBackend: expect.stringMatching(
      /^fails at value: .*StateBackendError.*8388608 bytes.*$/,
    ),
  })
  expect(part.absent['LevelDBStateBackend']).not.toContain(root)
  expect(new Set(part.figures.map(({ contender }) => contender))).toEqual(new Set(['Map']))
})
