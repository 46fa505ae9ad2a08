/** `npm run bench:compare A B`: whether the second result is slower than the first. */
import { Table } from 'console-table-printer'
import { readCommandLine, refuse } from '../harness/command-line.js'
import { spreadText } from '../suite/report/text.js'
import { DamagedResult } from '../suite/reader.js'
import { readResult, type SuiteResult } from '../suite/result.js'
import {
  compareResults,
  LEAST_OF_A_RATE,
  MOST_OF_A_TIME,
  type Comparison,
  type FigureComparison,
  type LoneFigure,
} from './compare.js'

const USAGE = `Usage: npm run bench:compare -- [options] <A> <B>

  A, B                 results of npm run bench: results.json, or the directory it is in
  --only <parts>       compare these parts, with commas
  --contender <names>  compare these contenders, with commas
  --anyway             results of another machine, size or parameters may pass
  --all                list every figure, not only those that fail
  --json               print the comparison as one JSON object
  --help               print this

By medians. Exits with 1 when a throughput of B is below ${LEAST_OF_A_RATE} of that of A, a latency, a size or a cost
above ${MOST_OF_A_TIME} times, a figure of A is not in B, a goal that A reached is missed, a part failed, or the two are of
another machine, size or parameters; with 2 when a result cannot be read, or the options are wrong.`

function tableOf(figures: readonly FigureComparison[]): string {
  const table = new Table({
    shouldDisableColors: true,
    columns: [
      { name: 'figure', alignment: 'left' },
      { name: 'A', alignment: 'right' },
      { name: 'B', alignment: 'right' },
      { name: 'B / A', alignment: 'right' },
      { name: 'verdict', alignment: 'left' },
    ],
  })
  for (const figure of figures) {
    const { a, b, unit, ratio } = figure
    table.addRow({
      figure: nameOf(figure),
      A: spreadText(a, unit),
      B: spreadText(b, unit),
      'B / A': ratio.toFixed(2),
      verdict: verdictOf(figure),
    })
  }
  return table.render()
}

function verdictOf({ passes, overlap }: FigureComparison): string {
  if (passes) return 'passes'
  return overlap ? 'FAILS, ranges overlap' : 'FAILS'
}

function nameOf({ part, name, contender, x }: LoneFigure): string {
  const where = x === undefined ? '' : ` at ${x}`
  return `${part}: ${name}${where}, ${contender}`
}

function linesOf(comparison: Comparison, all: boolean, anyway: boolean): string[] {
  const { compared, onlyInA, onlyInB, passes } = comparison
  const failing = compared.filter((figure) => !figure.passes)
  const shown = all ? compared : failing
  const alone = (figures: readonly LoneFigure[], text: string): string[] =>
    figures.map(
      (figure) => `${text} ${nameOf(figure)}${figure.why === undefined ? '' : `: ${figure.why}`}`,
    )
  return [
    ...comparison.warnings.map((text) => `WARNING: ${text}`),
    ...comparison.unlike.map((text) => `${anyway ? 'WARNING' : 'UNLIKE'}: ${text}`),
    ...(comparison.unlike.length === 0 || anyway ? [] : [UNLIKE_TEXT]),
    ...comparison.failed.map((text) => `FAILED: ${text}`),
    ...(shown.length === 0 ? [] : [tableOf(shown)]),
    ...alone(onlyInA, 'ONLY IN A:'),
    ...alone(onlyInB, 'only in B:'),
    ...comparison.lostGoals.map(
      ({ part, before, after }) =>
        `GOAL LOST: ${part}: ${before}; in B ${after ?? 'it is not judged'}`,
    ),
    `${compared.length} figures compared, ${failing.length} fail, ${onlyInA.length} are only in A, ${onlyInB.length} only in B: ` +
      (passes ? 'passes' : 'FAILS'),
  ]
}

const UNLIKE_TEXT = 'Figures of unlike runs say nothing about the code; --anyway compares them.'

/** Refuses names that are in neither result: nothing would be compared, and nothing fail. */
function namesOf(
  option: string,
  text: string | undefined,
  known: readonly string[],
): string[] | undefined {
  const names = text?.split(',').map((name) => name.trim())
  const unknown = names?.find((name) => !known.includes(name))
  if (unknown !== undefined) refuse(`${option}: neither result has ${unknown}.`)
  return names
}

function contendersOf({ parts }: SuiteResult): string[] {
  return parts.flatMap((result) =>
    result.status === 'measured' ? result.part.figures.map(({ contender }) => contender) : [],
  )
}

function main(): number {
  const { values, positionals } = readCommandLine(USAGE, {
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      contender: { type: 'string' },
      anyway: { type: 'boolean' },
      all: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  })
  const [pathOfA, pathOfB, ...more] = positionals
  if (pathOfA === undefined || pathOfB === undefined || more.length > 0) {
    return refuse(`Two results are needed, not ${positionals.length}; see --help.`)
  }
  const [a, b] = [readResult(pathOfA), readResult(pathOfB)]
  const partNames = [...a.parts, ...b.parts].map(({ name }) => name)
  const parts = namesOf('--only', values.only, partNames)
  const contenderNames = [...contendersOf(a), ...contendersOf(b)]
  const contenders = namesOf('--contender', values.contender, contenderNames)
  const anyway = values.anyway === true
  const comparison = compareResults(a, b, {
    ...(parts === undefined ? {} : { parts }),
    ...(contenders === undefined ? {} : { contenders }),
    anyway,
  })
  const lines =
    values.json === true
      ? [JSON.stringify(comparison)]
      : linesOf(comparison, values.all === true, anyway)
  process.stdout.write(`${lines.join('\n')}\n`)
  return comparison.passes ? 0 : 1
}

try {
  process.exitCode = main()
} catch (error) {
  if (!(error instanceof DamagedResult)) throw error
  refuse(error.message)
}
