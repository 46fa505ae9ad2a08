/**
 * The result of a run, `results.json`: what was measured, on which machine, with which versions. Plain JSON, written whole after every
 * part, so that a run that is interrupted leaves the parts it has.
 *
 * R1 What is read back has the form that this file declares, or one error that says where it has not.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { BenchPart } from '../harness/part.js'
import type { Load, Machine, Versions } from './environment.js'
import { checkPart, DamagedResult, Reader } from './reader.js'

/** Of results.json; another one is another form. */
const FORMAT = 2
export const RESULTS_FILE = 'results.json'

export type RunSize = 'quick' | 'default' | 'full'

export interface MeasuredPart {
  readonly name: string
  readonly status: 'measured'
  readonly seconds: number
  readonly load: Load
  readonly part: BenchPart
}

export interface FailedPart {
  readonly name: string
  readonly status: 'failed'
  readonly seconds: number
  readonly load: Load
  readonly reason: string
}

export type PartResult = MeasuredPart | FailedPart

export interface SuiteResult {
  readonly format: typeof FORMAT
  /** ISO 8601, in UTC. */
  readonly startedAt: string
  /** Not yet there while the run goes on, nor ever when it was interrupted. */
  readonly finishedAt?: string
  readonly size: RunSize
  readonly machine: Machine
  readonly versions: Versions
  readonly parts: readonly PartResult[]
}

export function newResult(fields: Omit<SuiteResult, 'format' | 'parts'>): SuiteResult {
  return { format: FORMAT, ...fields, parts: [] }
}

/**
 * Parts that began while something else ran. The load is that of the minute before: after the first part it is mostly the part before,
 * which may use every core.
 */
export function busyParts({ parts, machine }: SuiteResult): PartResult[] {
  return parts.filter(({ load }, index) => {
    const most = index === 0 ? IDLE_LOAD_PER_CORE : OWN_LOAD_PER_CORE
    return load.start > machine.cores * most
  })
}

const IDLE_LOAD_PER_CORE = 0.5
const OWN_LOAD_PER_CORE = 1.5

/** The file itself, or the directory of a run. */
export function resultPath(path: string): string {
  if (!existsSync(path)) throw new DamagedResult(`There is no ${path}.`)
  return statSync(path).isDirectory() ? join(path, RESULTS_FILE) : path
}

/** Throws `DamagedResult`, with a message that names the file. */
export function readResult(path: string): SuiteResult {
  const file = resultPath(path)
  try {
    return parseResult(readFileSync(file, 'utf8'))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new DamagedResult(`${file} is no result of npm run bench: ${why}`)
  }
}

export function parseResult(text: string): SuiteResult {
  const json = JSON.parse(text) as unknown
  const result = new Reader(json, 'it')
  const format = result.field('format').number()
  if (format !== FORMAT) throw new DamagedResult(`it has format ${format}, this version ${FORMAT}`)
  result.field('startedAt').string()
  result.field('size').oneOf(['quick', 'default', 'full'])
  const machine = result.field('machine')
  for (const name of ['cpu', 'os', 'kernel', 'node', 'filesystem']) machine.field(name).string()
  for (const name of ['cores', 'memoryBytes']) machine.field(name).number()
  const versions = result.field('versions')
  versions.field('package').string()
  versions.field('contenders').strings()
  const seen = new Set<string>()
  for (const part of result.field('parts').items()) {
    const name = checkPartResult(part)
    if (seen.has(name)) throw new DamagedResult(`part ${name} is in it twice`)
    seen.add(name)
  }
  return json as SuiteResult
}

function checkPartResult(part: Reader): string {
  const name = part.field('name').string()
  part.field('seconds').number()
  const load = part.field('load')
  load.field('start').number()
  load.field('end').number()
  const status = part.field('status').oneOf(['measured', 'failed'])
  if (status === 'measured') checkPart(part.field('part'))
  else part.field('reason').string()
  return name
}

/** Whole or not at all: a run that ends meanwhile leaves the file of before. */
export function writeResult(directory: string, result: SuiteResult): void {
  writeWhole(join(directory, RESULTS_FILE), `${JSON.stringify(result, undefined, 1)}\n`)
}

export function writeWhole(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true })
  const unfinished = `${file}.unfinished`
  writeFileSync(unfinished, text)
  renameSync(unfinished, file)
}
