/**
 * `npm run bench:state`: the operations of Flink's state benchmarks on our backends, and on what else there is. Only ratios within one
 * run on one machine are judged.
 */
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { Table } from 'console-table-printer'
import { inChild } from '../harness/child-process.js'
import { finishPart, positiveInteger, say } from '../harness/command-line.js'
import { rotated } from '../harness/statistics.js'
import { buildFlink, runFlink, type FlinkBackend } from '../peers/flink/run.js'
import type { GroupResult } from './measure.js'
import { GROUPS, OPERATIONS, type Group } from './operations.js'
import { installPeer, OPTIONAL_PEERS, type OptionalPeer } from './optional-peers.js'
import { statePart, type StateParameters, type StateResult } from './part.js'
import {
  compareChecks,
  CONTENDERS,
  OURS,
  ratioText,
  rowsOf,
  spreadText,
  type ContenderName,
  type FlinkContender,
  type Row,
} from './report.js'

const USAGE = `Usage: npm run bench:state [-- options]

  --keys <n>        keys that are set up (default 100000)
  --rounds <n>      processes of each contender and kind of state, in rotated order (default 1);
                    each measures every operation three times after two rounds that warm up
  --millis <n>      the longest one measurement of one operation lasts (default 150)
  --memory-mib <n>  memory of each contender, where it can be told (default 1024: Flink's 5 million
                    map entries are within it)
  --quick           20000 keys, 50 ms
  --full            Flink's 500000 keys, two rounds, 300 ms: tens of minutes
  --only <names>    of the kinds of state (value, list, map) and of the contenders, with commas
  --cpu             count and judge processor time, for a machine that is busy
  --json            print the part of the benchmark as one JSON object, the last line
  --help            print this

Contenders: ${CONTENDERS.join(', ')}.
better-sqlite3, rocksdb-native and Flink (which needs Java and Maven) are fetched and built when they
are first wanted, into temp/; what does not install is reported as absent.
Exits with 1 when an operation falls short of its bar: a point operation on a value or a map 2 times,
any other 0.8 times the rate of the fastest peer that persists.`

const MEASUREMENTS_PER_PROCESS = 3
const FLINK_BACKENDS: Record<FlinkContender, FlinkBackend> = {
  'Flink RocksDB': 'ROCKSDB',
  'Flink RocksDB budget': 'ROCKSDB_BUDGET',
  'Flink heap': 'HEAP',
}

const SIZES = {
  quick: { keys: 20_000, rounds: 1, millis: 50 },
  default: { keys: 100_000, rounds: 1, millis: 150 },
  full: { keys: 500_000, rounds: 2, millis: 300 },
} as const
const MEMORY_MIB = 1024

interface Options extends StateParameters {
  readonly groups: readonly Group[]
  readonly contenders: readonly ContenderName[]
}

function isFlink(contender: ContenderName): contender is FlinkContender {
  return contender in FLINK_BACKENDS
}

function measureInNode(
  contender: ContenderName,
  group: Group,
  { keys, millis, memoryMib, cpu }: Options,
): Promise<GroupResult> {
  const options = { keys, millis, memoryMib, cpu, rounds: MEASUREMENTS_PER_PROCESS }
  return inChild(new URL('child.ts', import.meta.url), 'measure', contender, group, options)
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
  readonly rates = new Map<string, Map<ContenderName, number[]>>()
  readonly checks = new Map<string, Record<string, number>>()
  readonly #byCpu: boolean

  constructor(byCpu: boolean) {
    this.#byCpu = byCpu
  }

  add(contender: ContenderName, { results, checks }: GroupResult): void {
    this.checks.set(contender, { ...this.checks.get(contender), ...checks })
    for (const { operation, opsPerSecond, opsPerCpuSecond } of results) {
      const contenders = this.rates.get(operation) ?? new Map<ContenderName, number[]>()
      this.rates.set(operation, contenders)
      const samples = contenders.get(contender) ?? []
      contenders.set(contender, [...samples, ...(this.#byCpu ? opsPerCpuSecond : opsPerSecond)])
    }
  }
}

async function run(options: Options): Promise<StateResult> {
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
  const operations = options.groups.flatMap((group) => OPERATIONS[group])
  const { rates } = figures
  return { operations, rates, rows: rowsOf(operations, rates), absent }
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
    quick: { type: 'boolean' },
    full: { type: 'boolean' },
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
  const size = SIZES[values.quick === true ? 'quick' : values.full === true ? 'full' : 'default']
  const parameters: StateParameters = {
    keys: positiveInteger('--keys', values.keys, size.keys),
    rounds: positiveInteger('--rounds', values.rounds, size.rounds),
    millis: positiveInteger('--millis', values.millis, size.millis),
    memoryMib: positiveInteger('--memory-mib', values['memory-mib'], MEMORY_MIB),
    cpu: values.cpu === true,
  }
  const contenders = selected(CONTENDERS, only)
  const result = await run({ ...parameters, groups: selected(GROUPS, only), contenders })
  const part = statePart(parameters, result)
  printTable(result.rows, contenders)
  for (const note of part.notes) say(`- ${note}`)
  for (const [contender, why] of Object.entries(part.absent)) say(`- Absent: ${contender}, ${why}`)
  finishPart(part, values.json === true)
}
