/**
 * `npm run bench:state`: the operations of Flink's state benchmarks on our backends, and on what else there is. Only ratios within one
 * run on one machine are judged.
 */
import { execFile } from 'node:child_process'
import { cpus, loadavg } from 'node:os'
import { parseArgs, promisify } from 'node:util'
import { Table } from 'console-table-printer'
import { buildFlink, runFlink, type FlinkBackend } from '../peers/flink/run.js'
import type { GroupResult, OperationRates } from './measure.js'
import { notesOf } from './notes.js'
import { GROUPS, OPERATIONS, type Group } from './operations.js'
import { installPeer, OPTIONAL_PEERS, type OptionalPeer } from './optional-peers.js'
import {
  compareChecks,
  FLINK_CONTENDERS,
  NODE_CONTENDERS,
  OURS,
  ratioText,
  rotated,
  rowsOf,
  spreadText,
  type ContenderName,
  type FlinkContender,
  type Row,
} from './report.js'

const USAGE = `Usage: npm run bench:state [-- options]

  --keys <n>        keys that are set up (default 500000, Flink's)
  --rounds <n>      processes of each contender and kind of state, in rotated order (default 2);
                    each measures every operation three times after two rounds that warm up
  --millis <n>      the longest one measurement of one operation lasts (default 300)
  --memory-mib <n>  memory of each contender, where it can be told (default 1024: Flink's 5 million
                    map entries are within it)
  --only <names>    of the kinds of state (value, list, map) and of the contenders, with commas
  --cpu             count and judge processor time, for a machine that is busy
  --json            print one JSON object as the last line
  --help            print this

Contenders: ${[...NODE_CONTENDERS, ...FLINK_CONTENDERS].join(', ')}.
better-sqlite3, rocksdb-native and Flink (which needs Java and Maven) are fetched and built when they
are first wanted, into temp/; what does not install is reported as absent. A full run sets up millions
of entries in each contender and takes tens of minutes; --keys 50000 --rounds 1 is the short one.
Exits with 1 when an operation falls short of its bar: a point operation on a value or a map 2 times,
any other 0.8 times the rate of the fastest peer that persists.`

const MEASUREMENTS_PER_PROCESS = 3
const CONTENDERS: readonly ContenderName[] = [...NODE_CONTENDERS, ...FLINK_CONTENDERS]
const FLINK_BACKENDS: Record<FlinkContender, FlinkBackend> = {
  'Flink RocksDB': 'ROCKSDB',
  'Flink RocksDB budget': 'ROCKSDB_BUDGET',
  'Flink heap': 'HEAP',
}

interface Options {
  readonly keys: number
  readonly rounds: number
  readonly millis: number
  readonly memoryMib: number
  readonly groups: readonly Group[]
  readonly contenders: readonly ContenderName[]
  readonly cpu: boolean
}

const execute = promisify(execFile)

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

function isFlink(contender: ContenderName): contender is FlinkContender {
  return contender in FLINK_BACKENDS
}

async function measureInNode(
  contender: ContenderName,
  group: Group,
  options: Options,
): Promise<GroupResult> {
  const { keys, millis, memoryMib, cpu } = options
  const child = new URL('child.ts', import.meta.url).pathname
  const json = JSON.stringify({ keys, millis, memoryMib, cpu, rounds: MEASUREMENTS_PER_PROCESS })
  const parameters = ['--import', 'tsx', child, contender, group, json]
  const { stdout } = await execute(process.execPath, parameters)
  return JSON.parse(stdout) as GroupResult
}

async function measureInJava(
  contender: FlinkContender,
  group: Group,
  { keys, millis, memoryMib, cpu }: Options,
): Promise<GroupResult> {
  const result = await runFlink({
    keys,
    millis,
    memoryMib,
    cpu,
    rounds: MEASUREMENTS_PER_PROCESS,
    backends: [FLINK_BACKENDS[contender]],
    groups: [group],
  })
  if ('absent' in result) throw new Error(result.absent)
  return { results: result.results, checks: {} }
}

/** Why a contender cannot be measured, where it cannot. */
async function whyAbsent(contender: ContenderName): Promise<string | undefined> {
  if (isFlink(contender)) return (await buildFlink())?.absent
  return contender in OPTIONAL_PEERS ? installPeer(contender as OptionalPeer) : undefined
}

class Figures {
  readonly byCpu: boolean
  readonly rates = new Map<string, Map<ContenderName, number[]>>()
  readonly both: Record<string, Record<string, Omit<OperationRates, 'operation'>>> = {}
  readonly checks = new Map<string, Record<string, number>>()

  constructor(byCpu: boolean) {
    this.byCpu = byCpu
  }

  add(contender: ContenderName, { results, checks }: GroupResult): void {
    this.checks.set(contender, { ...this.checks.get(contender), ...checks })
    for (const { operation, opsPerSecond, opsPerCpuSecond } of results) {
      const both = ((this.both[operation] ??= {})[contender] ??= {
        opsPerSecond: [],
        opsPerCpuSecond: [],
      })
      both.opsPerSecond.push(...opsPerSecond)
      both.opsPerCpuSecond.push(...opsPerCpuSecond)
      const contenders = this.rates.get(operation) ?? new Map<ContenderName, number[]>()
      this.rates.set(operation, contenders)
      contenders.set(contender, this.byCpu ? both.opsPerCpuSecond : both.opsPerSecond)
    }
  }
}

async function run(
  options: Options,
): Promise<{ figures: Figures; absent: Partial<Record<ContenderName, string>> }> {
  const figures = new Figures(options.cpu)
  const absent: Partial<Record<ContenderName, string>> = {}
  for (const contender of options.contenders) {
    const why = await whyAbsent(contender)
    if (why === undefined) continue
    absent[contender] = why
    say(`absent: ${contender}, ${why}`)
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const group of options.groups) {
      for (const contender of rotated(options.contenders, round)) {
        if (absent[contender] !== undefined) continue
        const start = performance.now()
        try {
          const result = isFlink(contender)
            ? await measureInJava(contender, group, options)
            : await measureInNode(contender, group, options)
          figures.add(contender, result)
        } catch (error) {
          if (contender === OURS) throw error
          absent[contender] =
            `fails at ${group}: ${error instanceof Error ? error.message : String(error)}`
          say(`absent: ${contender}, ${absent[contender]}`)
        }
        const seconds = ((performance.now() - start) / 1000).toFixed(0)
        say(
          `round ${round + 1} ${group.padEnd(5)} ${contender.padEnd(20)} ${seconds.padStart(4)} s, load ${loadText()}`,
        )
      }
    }
  }
  compareChecks(figures.checks)
  return { figures, absent }
}

function loadText(): string {
  return (loadavg()[0] ?? Number.NaN).toFixed(1)
}

function printTable(rows: readonly Row[], contenders: readonly ContenderName[]): void {
  const measured = contenders.filter((name) => rows.some(({ spreads }) => name in spreads))
  const table = new Table({
    shouldDisableColors: true,
    columns: [
      { name: 'operation', alignment: 'left' },
      { name: 'ours / best (bar)', alignment: 'left' },
      { name: 'best persistent peer', alignment: 'left' },
      ...measured.map((name) => ({ name, alignment: 'right' as const })),
    ],
  })
  for (const row of rows) {
    table.addRow({
      operation: row.operation,
      'ours / best (bar)': ratioText(row),
      'best persistent peer': row.bestPeer ?? '',
      ...Object.fromEntries(measured.map((name) => [name, spreadText(row.spreads[name])])),
    })
  }
  say(table.render())
}

function positiveInteger(name: string, text: string | undefined, fallback: number): number {
  const value = Number(text ?? fallback)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new Error(`${name} must be a positive integer, got ${text}.`)
}

/** `names` may leave out either kind: then all of it is meant. */
function selected<T extends string>(all: readonly T[], names: readonly string[]): readonly T[] {
  const chosen = all.filter((name) => names.includes(name))
  return chosen.length === 0 ? all : chosen
}

function namesOf(only: string | undefined): string[] {
  const names = only?.split(',').map((name) => name.trim()) ?? []
  const unknown = names.find((name) => ![...GROUPS, ...CONTENDERS].some((known) => known === name))
  if (unknown === undefined) return names
  throw new Error(`--only: there is no ${unknown}; see --help.`)
}

const { values } = parseArgs({
  options: {
    keys: { type: 'string' },
    rounds: { type: 'string' },
    millis: { type: 'string' },
    'memory-mib': { type: 'string' },
    only: { type: 'string' },
    cpu: { type: 'boolean' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help === true) {
  process.stdout.write(`${USAGE}\n`)
} else {
  const only = namesOf(values.only)
  const options: Options = {
    keys: positiveInteger('--keys', values.keys, 500_000),
    rounds: positiveInteger('--rounds', values.rounds, 2),
    millis: positiveInteger('--millis', values.millis, 300),
    memoryMib: positiveInteger('--memory-mib', values['memory-mib'], 1024),
    groups: selected(GROUPS, only),
    contenders: selected(CONTENDERS, only),
    cpu: values.cpu === true,
  }
  const { figures, absent } = await run(options)
  const operations = options.groups.flatMap((group) => OPERATIONS[group])
  const rows = rowsOf(operations, figures.rates)
  printTable(rows, options.contenders)
  for (const note of notesOf(options.memoryMib)) say(`- ${note}`)
  for (const [contender, why] of Object.entries(absent)) say(`- Absent: ${contender}, ${why}`)
  if (values.json === true) {
    const machine = { node: process.version, cpus: cpus().length, cpu: cpus()[0]?.model }
    const { both } = figures
    process.stdout.write(`${JSON.stringify({ options, machine, rows, absent, figures: both })}\n`)
  }
  if (rows.some(({ reached }) => reached === false)) process.exitCode = 1
}
