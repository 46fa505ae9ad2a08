/** `npm run bench:compare A B`: whether the second result is slower than the first. */
import { parseArgs } from 'node:util'
import { Table } from 'console-table-printer'
import { spreadText } from '../suite/report/text.js'
import { DamagedResult } from '../suite/reader.js'
import { readResult } from '../suite/result.js'
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
  --all                list every figure, not only those that fail
  --json               print the comparison as one JSON object
  --help               print this

By medians. Exits with 1 when a throughput of B is below ${LEAST_OF_A_RATE} of that of A, a latency, a size or a cost
above ${MOST_OF_A_TIME} times, or a figure of A is not in B; with 2 when a result cannot be read.`

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

function linesOf(
  { compared, onlyInA, onlyInB, warnings, passes }: Comparison,
  all: boolean,
): string[] {
  const failing = compared.filter((figure) => !figure.passes)
  const shown = all ? compared : failing
  const alone = (figures: readonly LoneFigure[], text: string): string[] =>
    figures.map(
      (figure) => `${text} ${nameOf(figure)}${figure.why === undefined ? '' : `: ${figure.why}`}`,
    )
  return [
    ...warnings.map((text) => `WARNING: ${text}`),
    ...(shown.length === 0 ? [] : [tableOf(shown)]),
    ...alone(onlyInA, 'ONLY IN A:'),
    ...alone(onlyInB, 'only in B:'),
    `${compared.length} figures compared, ${failing.length} fail, ${onlyInA.length} are only in A, ${onlyInB.length} only in B: ` +
      (passes ? 'passes' : 'FAILS'),
  ]
}

function namesOf(text: string | undefined): string[] | undefined {
  return text?.split(',').map((name) => name.trim())
}

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      contender: { type: 'string' },
      all: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  const [a, b, ...more] = positionals
  if (a === undefined || b === undefined || more.length > 0) {
    throw new DamagedResult(`Two results are needed, not ${positionals.length}; see --help.`)
  }
  const parts = namesOf(values.only)
  const contenders = namesOf(values.contender)
  const comparison = compareResults(readResult(a), readResult(b), {
    ...(parts === undefined ? {} : { parts }),
    ...(contenders === undefined ? {} : { contenders }),
  })
  const lines =
    values.json === true ? [JSON.stringify(comparison)] : linesOf(comparison, values.all === true)
  process.stdout.write(`${lines.join('\n')}\n`)
  return comparison.passes ? 0 : 1
}

try {
  process.exitCode = main()
} catch (error) {
  if (!(error instanceof DamagedResult)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}
