/**
 * `npm run bench:state`: the operations of Flink's state benchmarks on our backends, and on what else there is. Only ratios within one
 * run on one machine are judged.
 */
import { loadavg } from 'node:os'
import { Table } from 'console-table-printer'
import { inChild, reasonOf } from '../harness/child-process.js'
import {
  finishPart,
  positiveInteger,
  readCommandLine,
  refuse,
  say,
  selected,
  withTemporaryDirectory,
} from '../harness/command-line.js'
import { buildFlink, runFlink, type FlinkBackend } from '../peers/flink/run.js'
import { SAMPLES_PER_PROCESS, type GroupResult } from './measure.js'
import { GROUPS, OPERATIONS, type Group } from './operations.js'
import { installPeer, OPTIONAL_PEERS, type OptionalPeer } from './optional-peers.js'
import { statePart, type StateParameters, type StateResult } from './part.js'
import {
  CONTENDERS,
  differenceIn,
  OURS,
  ratioText,
  rowsOf,
  spreadText,
  type ContenderName,
  type FlinkContender,
  type Row,
} from './report.js'
import { turnsOf } from './turns.js'

const USAGE = `Usage: npm run bench:state [-- options]

  --keys <n>        keys that are set up (default 100000)
  --rounds <n>      processes of each contender and kind of state, in rotated order (default 1);
                    each measures every operation three times after it warmed up for 300 ms
  --millis <n>      how long one measurement of one operation lasts (default 150); what adds
                    keys or removes entries goes over all keys once
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
any other 0.8 times the rate of the fastest peer that persists. Exits with 1 as well when
${OURS} fails, and with 2 when there is no figure.`

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
  const options = { keys, millis, memoryMib, cpu }
  const child = new URL('child.ts', import.meta.url)
  // Made here: one whose long synchronous work a signal cannot end is killed, and would leave it.
  return withTemporaryDirectory((directory) =>
    inChild(child, 'measure', contender, group, directory, options),
  )
}

async function measureInJava(
  contender: FlinkContender,
  group: Group,
  { keys, millis, memoryMib, cpu }: Options,
): Promise<GroupResult> {
  const backend = FLINK_BACKENDS[contender]
  const rounds = SAMPLES_PER_PROCESS
  const result = await runFlink({ keys, millis, memoryMib, cpu, rounds, backend, group })
  if ('absent' in result) throw new Error(result.absent)
  return result
}

/** Why a contender cannot be measured, where it cannot. */
async function whyAbsent(contender: ContenderName): Promise<string | undefined> {
  if (isFlink(contender)) return (await buildFlink())?.absent
  return contender in OPTIONAL_PEERS ? installPeer(contender as OptionalPeer) : undefined
}

class Figures {
  readonly rates = new Map<string, Map<ContenderName, number[]>>()
  readonly checks = new Map<string, Record<string, number>>()
  readonly storedBytes = new Map<ContenderName, number>()
  readonly #byCpu: boolean

  constructor(byCpu: boolean) {
    this.#byCpu = byCpu
  }

  add(contender: ContenderName, { results, checks, storedBytes }: GroupResult): void {
    this.checks.set(contender, { ...this.checks.get(contender), ...checks })
    if (storedBytes !== undefined) {
      this.storedBytes.set(contender, Math.max(this.storedBytes.get(contender) ?? 0, storedBytes))
    }
    for (const { operation, opsPerSecond, opsPerCpuSecond } of results) {
      const contenders = this.rates.get(operation) ?? new Map<ContenderName, number[]>()
      this.rates.set(operation, contenders)
      const samples = contenders.get(contender) ?? []
      contenders.set(contender, [...samples, ...(this.#byCpu ? opsPerCpuSecond : opsPerSecond)])
    }
  }
}

async function run(options: Options): Promise<StateResult> {
  const { rounds, groups, contenders } = options
  const figures = new Figures(options.cpu)
  const absent = await absentOf(contenders)
  for (const { round, group, contender } of turnsOf(rounds, groups, contenders)) {
    if (absent[contender] !== undefined) continue
    const start = performance.now()
    try {
      figures.add(contender, await measure(contender, group, options))
    } catch (error) {
      absent[contender] = `fails at ${group}: ${reasonOf(error)}`
      say(`absent: ${contender}, ${absent[contender]}`)
    }
    const seconds = ((performance.now() - start) / 1000).toFixed(0).padStart(4)
    const what = `${group.padEnd(5)} ${contender.padEnd(20)}`
    say(`round ${round + 1} ${what} ${seconds} s, load ${loadText()}`)
  }
  const operations = groups.flatMap((group) => OPERATIONS[group])
  const { rates, checks, storedBytes } = figures
  const difference = differenceIn(checks)
  if (difference !== undefined) refuse(`No figure counts: ${difference}.`)
  return { operations, rates, rows: rowsOf(operations, rates), absent, storedBytes }
}

async function absentOf(
  contenders: readonly ContenderName[],
): Promise<Partial<Record<ContenderName, string>>> {
  const absent: Partial<Record<ContenderName, string>> = {}
  for (const contender of contenders) {
    const why = await whyAbsent(contender)
    if (why === undefined) continue
    absent[contender] = why
    say(`absent: ${contender}, ${why}`)
  }
  return absent
}

function measure(contender: ContenderName, group: Group, options: Options): Promise<GroupResult> {
  return isFlink(contender)
    ? measureInJava(contender, group, options)
    : measureInNode(contender, group, options)
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

function namesOf(only: string | undefined): string[] {
  const names = only?.split(',').map((name) => name.trim()) ?? []
  const known: readonly string[] = [...GROUPS, ...CONTENDERS]
  const unknown = names.find((name) => !known.includes(name))
  return unknown === undefined ? names : refuse(`--only: there is no "${unknown}". See --help.`)
}

const { values } = readCommandLine(USAGE, {
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
  },
})
if (values.quick && values.full) refuse('--quick and --full are two sizes: give one.')
const only = namesOf(values.only)
const size = SIZES[values.quick ? 'quick' : values.full ? 'full' : 'default']
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
if (OURS in part.absent) process.exitCode = 1
