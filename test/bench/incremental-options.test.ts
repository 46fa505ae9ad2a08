import { describe, expect, it, vi } from 'vitest'
import { readOptions } from '../../bench/incremental/options.js'
import { caughtRefusals } from './refusals.js'

// The process here is not the benchmark's: it ends with nobody.
vi.mock('../../bench/harness/lifetime.js')

const said = caughtRefusals()

describe('the command line', () => {
  it.each([
    ['--quick --full', 'exclude each other'],
    ['--full --checkpoints 3', 'exclude each other'],
    ['--quick --state-mb 5', 'exclude each other'],
    ['--quick --only lmdb', 'lmdb has nothing to do'],
    ['--quick --only incremental,lmdb', 'lmdb has nothing to do'],
    ['--only nobody', 'there is no nobody'],
    ['--memory-mib 7', 'at least 8'],
    ['--state-mb nothing', '--state-mb cannot be nothing'],
    ['--checkpoints 0', '--checkpoints must be a positive integer'],
    ['--rounds 3', 'See --help'],
  ])('refuses %s', (line, why) => {
    expect(() => readOptions(line.split(' '))).toThrow('exit 2')
    expect(said()).toContain(why)
  })

  it('takes contenders that have something to do', () => {
    const { plan } = readOptions(['--quick', '--only', 'full'])
    expect(plan.changes.map(({ contenders }) => contenders)).toEqual([['full']])
  })
})

describe('the parameters', () => {
  it('say all that decides what is measured', () => {
    const { parameters } = readOptions([])
    expect(parameters['memoryMib']).toBe(64)
    expect(parameters['changes']).toContain(
      '0.1, 1, 10 % of 20 MB, uniform, 5 reads per write: incremental 3',
    )
    expect(parameters['changes']).toContain(
      '1 % of 50 MB, uniform, 5 reads per write: incremental 100, leveldb-files 20 checkpoints',
    )
    expect(parameters['changes']).toContain(
      '1 % of 200 MB, uniform, 0 reads per write: incremental 20, full 9, leveldb-files 20, leveldb-copy 3,',
    )
    expect(parameters['streams']).toBe(
      '200 MB, uniform, 1 read per write: incremental 9, leveldb-files 2 checkpoints',
    )
  })

  it('differ when checkpoints, contenders or loads differ, and only then', () => {
    const lines = ['', '--full', '--quick', '--quick --only full', '--reads 1', '--checkpoints 19']
    const read = (line: string): string =>
      JSON.stringify(readOptions(line.split(' ').filter((word) => word !== '')).parameters)
    expect(new Set(lines.map(read)).size).toBe(lines.length)
    expect(read('--checkpoints 20')).toBe(read('--reads 1'))
    expect(read('--memory-mib 64')).toBe(read(''))
  })
})
