import { spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { machineSlug, theseVersions, thisMachine } from '../../bench/suite/environment.js'
import { readPart } from '../../bench/suite/parts.js'
import { busyParts, parseResult, readResult, writeResult } from '../../bench/suite/result.js'
import { figureOf, measuredOf, partOf, resultOf } from './results.js'

let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bench-result-'))
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** The JSON of a value in which `path` leads to something else; `undefined` leaves it out. */
function changed(value: unknown, path: readonly (string | number)[], to: unknown): string {
  const copy = structuredClone(value) as Record<string | number, unknown>
  let place = copy
  for (const step of path.slice(0, -1)) place = place[step] as Record<string | number, unknown>
  place[path.at(-1) ?? ''] = to
  return JSON.stringify(copy)
}

describe('a result', () => {
  it('is read as it was written, from its directory and from its file', () => {
    const result = resultOf()
    writeResult(join(directory, 'run'), result)
    expect(readResult(join(directory, 'run'))).toEqual(result)
    expect(readResult(join(directory, 'run', 'results.json'))).toEqual(result)
    expect(readdirSync(join(directory, 'run'))).toEqual(['results.json'])
  })

  it('of before is replaced as a whole', () => {
    writeResult(directory, resultOf())
    writeResult(directory, resultOf({ parts: [] }))
    expect(readResult(directory).parts).toEqual([])
  })

  const sample = ['parts', 0, 'part', 'figures', 0, 'samples']
  it.each<[(string | number)[], unknown, string]>([
    [['format'], 1, 'it has format 1, this version 2'],
    [['startedAt'], undefined, 'it.startedAt must be a string, not nothing'],
    [['size'], 'huge', 'it.size must be quick or default or full, not "huge"'],
    [['machine', 'filesystem'], undefined, 'it.machine.filesystem must be a string, not nothing'],
    [['machine', 'cores'], '2', 'it.machine.cores must be a number, not "2"'],
    [['versions', 'contenders'], ['3.5.6'], 'it.versions.contenders must be an object'],
    [['parts'], {}, 'it.parts must be an array, not {}'],
    [['parts', 0, 'status'], 'lost', 'it.parts[0].status must be measured or failed'],
    [['parts', 0, 'status'], 'failed', 'it.parts[0].reason must be a string, not nothing'],
    [['parts', 0, 'load'], null, 'it.parts[0].load must be an object, not null'],
    [[...sample, 0], null, 'it.parts[0].part.figures[0].samples[0] must be a number, not null'],
    [[...sample, 0], -1, 'it.parts[0].part.figures[0].samples[0] must be zero or more, not -1'],
    [['parts', 1], measuredOf(), 'part state is in it twice'],
    [sample, [], 'valueGet of ours has no samples'],
    [['parts', 0, 'part', 'figures', 0, 'kind'], 'speed', '.kind must be throughput or latency'],
    [['parts', 0, 'part', 'figures', 0, 'x'], 'far', '.x must be a number, not "far"'],
    [['parts', 0, 'part', 'charts'], [{}], '.charts[0].title must be a string'],
    [['parts', 0, 'part', 'goals'], [{ text: 'a' }], '.goals[0].reached must be true or false'],
    [['parts', 0, 'part', 'notes'], 'none', '.notes must be an array'],
    [['parts', 0, 'part', 'parameters'], { keys: {} }, '.parameters.keys must be a string, not {}'],
    [['parts', 0, 'part', 'absent'], { lmdb: 1 }, '.absent.lmdb must be a string, not 1'],
  ])('R1: whose %j is %j is refused, with the place', (path, to, message) => {
    expect(() => parseResult(changed(resultOf(), path, to))).toThrow(message)
  })

  it('R1: that is no JSON is refused with the name of its file', () => {
    for (const text of ['', '{', 'null', '[]', '"text"', '\0']) {
      writeFileSync(join(directory, 'results.json'), text)
      expect(() => readResult(directory)).toThrow('results.json is no result of npm run bench: ')
    }
  })

  it('R1: that is not there is said to be missing', () => {
    mkdirSync(join(directory, 'empty'))
    expect(() => readResult(join(directory, 'empty'))).toThrow('results.json')
    expect(() => readResult(join(directory, 'nowhere'))).toThrow('There is no')
  })
})

describe('a busy machine', () => {
  it.each([
    [[1, 3, 3], []],
    [[1.01, 3, 3], [0]],
    [[0, 3.01, 0], [1]],
  ])('is one whose load per part %j is not that of the part before: %j', (starts, busy) => {
    const parts = starts.map((start) => ({ ...measuredOf(), load: { start, end: 9 } }))
    const found = busyParts(resultOf({ parts }))
    expect(found).toEqual(busy.map((index) => parts[index]))
  })
})

describe('the output of a part', () => {
  it('is a part', () => {
    expect(readPart(JSON.stringify(partOf()))).toEqual(partOf())
  })

  it('has each figure once: by name, contender and x', () => {
    const twice = (...fields: object[]) =>
      JSON.stringify(partOf({ figures: [figureOf(), ...fields.map(figureOf)] }))
    expect(() => readPart(twice({ samples: [2] }))).toThrow('valueGet, ours is in part state twice')
    const others = twice({ contender: 'lmdb' }, { x: 1 }, { x: 2 }, { name: 'valueAdd' })
    expect(readPart(others).figures).toHaveLength(5)
  })

  it('has no figure that is not a number: NaN is written as null', () => {
    const line = JSON.stringify(partOf({ figures: [figureOf({ samples: [Number.NaN] })] }))
    expect(() => readPart(line)).toThrow(
      'the part.figures[0].samples[0] must be a number, not null',
    )
  })
})

describe('the environment', () => {
  it('is that of this process, with the file system that is measured on and no path', () => {
    const machine = thisMachine()
    expect(machine).toMatchObject({ node: process.version, filesystem: expect.stringMatching(/./) })
    expect(JSON.stringify(machine)).not.toContain(tmpdir())
  })

  it('has the versions of those that were to be measured, and of no others', () => {
    const { contenders } = theseVersions(['ours', 'lmdb', 'better-sqlite3'])
    expect(Object.keys(contenders)).toEqual(['classic-level', 'lmdb', 'better-sqlite3'])
    expect(contenders['lmdb']).toMatch(/^\d/)
    expect(theseVersions([]).contenders).toEqual({})
    const flink = theseVersions(['Flink heap']).contenders
    expect(Object.keys(flink)).toEqual(['classic-level', 'Flink', 'Java'])
  })

  it('says of a peer without its package that it is not installed', () => {
    const copy = join(directory, 'copy')
    const root = fileURLToPath(new URL('../../', import.meta.url))
    for (const name of ['bench/suite', 'package.json', 'tsconfig.json']) {
      cpSync(join(root, name), join(copy, name), { recursive: true })
    }
    mkdirSync(join(copy, 'node_modules'))
    symlinkSync(join(root, 'node_modules/tsx'), join(copy, 'node_modules/tsx'))
    const code = `import { theseVersions } from './bench/suite/environment.ts'
      process.stdout.write(JSON.stringify(theseVersions(['lmdb', 'better-sqlite3', 'Flink heap'])))`
    const command = ['--import', 'tsx', '--input-type', 'module', '-e', code]
    const options = { cwd: copy, encoding: 'utf8', env: { ...process.env, PATH: '' } } as const
    const { stdout } = spawnSync(process.execPath, command, options)
    const none = 'not installed'
    const peers = { lmdb: none, 'better-sqlite3': none, Flink: none, Java: none }
    expect(JSON.parse(stdout)).toMatchObject({ contenders: { 'classic-level': none, ...peers } })
  })

  it.each([
    ['Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz', 'intel-core-i7-8650u-4-cores'],
    ['AMD EPYC', 'amd-epyc-4-cores'],
    ['', 'unknown-4-cores'],
    ['../../etc', 'etc-4-cores'],
  ])('names a directory after the processor %s: %s', (cpu, slug) => {
    expect(machineSlug({ ...resultOf().machine, cpu, cores: 4 })).toBe(slug)
  })
})
