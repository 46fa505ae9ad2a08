import { describe, expect, it, vi } from 'vitest'
import { readOptions } from '../../bench/scale/options.js'
import { caughtRefusals } from './refusals.js'

// The process here is not the benchmark's: it ends with nobody.
vi.mock('../../bench/harness/lifetime.js')

const said = caughtRefusals()

describe('the command line', () => {
  it.each([
    ['--quick --full', 'exclude each other'],
    ['--only parallelism,lmdb', 'has no part'],
    ['--only keys,parallelism,lmdb', 'parallelism has no part'],
    ['--only nobody', 'there is no nobody'],
    ['--memory-mib 63', 'at least 64'],
    ['--only keys --memory-mib 7', 'at least 8'],
    ['--only parallelism --quick --memory-mib 15', 'at least 16'],
    ['--state-mb 3', 'See --help'],
  ])('refuses %s', (line, why) => {
    expect(() => readOptions(line.split(' '))).toThrow('exit 2')
    expect(said()).toContain(why)
  })

  it.each([
    ['--only lmdb', ['keys'], ['lmdb']],
    ['--only lmdb,classic-level', ['keys'], ['classic-level', 'lmdb']],
    ['--only keys,lmdb', ['keys'], ['lmdb']],
    ['--only parallelism', ['parallelism'], ['LevelDBStateBackend']],
    ['--only LevelDBStateBackend', ['keys', 'parallelism', 'checkpoints'], ['LevelDBStateBackend']],
    ['--only keys', ['keys'], ['LevelDBStateBackend', 'classic-level', 'lmdb']],
  ])('measures with %s nothing that is not named', (line, subjects, contenders) => {
    const options = readOptions(line.split(' '))
    expect(options.subjects).toEqual(subjects)
    expect(options.contenders).toEqual(contenders)
  })

  it('measures parallelism for 3 s at least', () => {
    expect(readOptions(['--millis', '800'])).toMatchObject({ millis: 800, parallelMillis: 3000 })
    expect(readOptions(['--millis', '5000'])).toMatchObject({ parallelMillis: 5000 })
  })
})

describe('the parameters', () => {
  const read = (line: string): unknown =>
    readOptions(line.split(' ').filter((word) => word !== '')).parameters

  it('hold the sizes of what is measured', () => {
    expect(read('--quick')).toEqual({
      memoryMib: 64,
      rounds: 2,
      contenders: 'LevelDBStateBackend, classic-level, lmdb',
      keyCounts: '100000',
      millis: 1500,
      parallelKeys: 100_000,
      parallelisms: '1, 2',
      parallelMillis: 3000,
      statesMb: '20',
    })
    expect(read('--only lmdb')).toEqual({
      memoryMib: 64,
      rounds: 2,
      contenders: 'lmdb',
      keyCounts: '100000, 1000000, 3000000',
      millis: 1500,
    })
  })

  it('differ with the size', () => {
    expect(read('--full')).not.toEqual(read(''))
    expect(read('--quick')).not.toEqual(read(''))
  })
})
