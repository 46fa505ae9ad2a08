/**
 * `report.html`: one file that opens from disk, without network, scripts or fonts of its own. Everything in it comes from a result;
 * no part is known by name. Pure functions.
 */
import type { BenchGoal } from '../../harness/part.js'
import {
  busyParts,
  type FailedPart,
  type MeasuredPart,
  type PartResult,
  type SuiteResult,
} from '../result.js'
import { drawChart } from './chart.js'
import { roundsText } from './describe.js'
import { colours } from './style.js'
import { figuresTable, wide } from './tables.js'
import { escapeHtml, slugOf, valueText } from './text.js'

const CHART_WIDTH = 1080

const NOT_MEASURED = [
  'One machine: storage is a directory on its disk, so no figure holds the latency, the bandwidth or the price of an object store ' +
    '(<code>npm run bench:s3</code> looks at that), and no figure holds a network between tasks.',
  'No whole stream processor: no sources, no shuffles, no windows, no timers. Contenders are driven by loops that do the same operations.',
  'Peers are set up as well as we know how, and are not tuned beyond what the notes say.',
  'Other machines, disks, operating systems and versions of Node.js. Compare figures within one run; ratios travel better than rates.',
]

export function reportHtml(result: SuiteResult): string {
  const day = result.startedAt.slice(0, 10)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>level-state-backend benchmark, ${escapeHtml(day)}</title>
<style>${styleSheet()}</style>
</head>
<body>
<main>
<h1>level-state-backend benchmark</h1>
<p class="lead">${escapeHtml(day)}, ${escapeHtml(machineLine(result))}</p>
${warnings(result)}
${summary(result)}
${environment(result)}
${reading()}
${result.parts.map(section).join('\n')}
</main>
</body>
</html>
`
}

function machineLine({ machine }: SuiteResult): string {
  const { cpu, cores, memoryBytes, node } = machine
  return `${cpu}, ${cores} cores, ${valueText(memoryBytes, 'bytes')} of memory, Node.js ${node}`
}

function warnings(result: SuiteResult): string {
  const { size, finishedAt, machine, versions } = result
  const texts: string[] = []
  const busy = busyParts(result)
  if (busy.length > 0) {
    const loads = busy.map(({ name, load }) => `${name} ${load.start}`).join(', ')
    texts.push(
      `The machine was busy with other work: load average when a part began: ${loads}; ${machine.cores} cores.`,
    )
  }
  if (size === 'quick') {
    texts.push('A quick run: it shows that everything works; its sizes are too small to judge by.')
  }
  if (finishedAt === undefined) texts.push('The run is not finished, or was interrupted.')
  if (versions.changed === true) texts.push('Measured with files that differ from the commit.')
  return texts.map((text) => `<p class="warning">${escapeHtml(text)}</p>`).join('\n')
}

function summary({ parts }: SuiteResult): string {
  const rows = parts.map((result) => {
    const name = `<a href="#${slugOf(result.name)}">${escapeHtml(titleOf(result))}</a>`
    const cells = [statusText(result), timeText(result.seconds), String(result.load.start)]
    return `<tr><th scope="row">${name}</th>${cells.map((text) => `<td>${text}</td>`).join('')}</tr>`
  })
  return `<table class="summary"><caption>Parts of the run</caption><thead><tr><th scope="col">Part</th><th scope="col">Goals reached</th>
<th scope="col">Took</th><th scope="col">Load before</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>
${missed(parts)}`
}

function titleOf(result: PartResult): string {
  return result.status === 'measured' ? result.part.title : result.name
}

function statusText(result: PartResult): string {
  if (result.status === 'failed') return '<span class="bad">✗ failed</span>'
  const { goals } = result.part
  if (goals.length === 0) return 'none set'
  const reached = goals.filter((goal) => goal.reached).length
  const all = reached === goals.length
  const mark = all ? '✓' : '✗'
  return `<span class="${all ? 'good' : 'bad'}">${mark} ${reached} of ${goals.length}</span>`
}

function missed(parts: readonly PartResult[]): string {
  const goals = parts.flatMap((result) =>
    result.status === 'measured'
      ? result.part.goals.filter(({ reached }) => !reached).map((goal) => ({ result, goal }))
      : [],
  )
  if (goals.length === 0) return ''
  const items = goals.map(
    ({ result, goal }) => `<li>${escapeHtml(titleOf(result))}: ${escapeHtml(goal.text)}</li>`,
  )
  return `<details open><summary>Goals missed: ${goals.length}</summary><ul>${items.join('\n')}</ul></details>`
}

function environment({ machine, versions, startedAt, finishedAt, size }: SuiteResult): string {
  const commit = versions.commit ?? 'no checkout'
  const rows: readonly (readonly [string, string])[] = [
    ['Processor', `${machine.cpu}, ${machine.cores} cores`],
    ['Memory', valueText(machine.memoryBytes, 'bytes')],
    ['System', `${machine.os}, ${machine.kernel}`],
    ['File system of the temporary directory', machine.filesystem],
    ['Node.js', machine.node],
    ['level-state-backend', `${versions.package}, commit ${commit}`],
    ...Object.entries(versions.contenders),
    ['Size of the run', size],
    ['Began, ended', `${startedAt}, ${finishedAt ?? 'not finished'}`],
  ]
  const items = rows.map(
    ([name, text]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(text)}</dd>`,
  )
  return `<h2 id="machine">Machine and versions</h2><dl>${items.join('\n')}</dl>`
}

function reading(): string {
  return `<h2 id="reading">How to read it</h2>
<p>Every figure is the median of its samples; thin lines in charts, and small type in tables, are their range from least to most. A
figure of one sample has no range, and its bar or symbol is hollow. How many samples a part has, and in how many rounds they were taken,
is said at its head. In bars the contender that the part is about is set off by its colour.</p>
<h2 id="not-measured">What is not measured</h2>
<ul>${NOT_MEASURED.map((html) => `<li>${html}</li>`).join('\n')}<li>What each part leaves out is in its notes.</li></ul>`
}

function section(result: PartResult): string {
  const id = slugOf(result.name)
  const title = `<h2 id="${id}">${escapeHtml(titleOf(result))}</h2>`
  return `<section>${title}${result.status === 'measured' ? measured(result) : failed(result)}</section>`
}

function failed({ name, reason }: FailedPart): string {
  return `<p class="warning">This part failed: ${escapeHtml(reason)}. Run it alone: <code>npm run bench:${escapeHtml(name)}</code></p>`
}

function measured({ name, part, load, seconds }: MeasuredPart): string {
  const parameters = Object.entries(part.parameters).map(([key, value]) => `${key} ${value}`)
  const charts = part.charts.map((chart) => {
    const picture = drawChart(part, chart, CHART_WIDTH)
    if (picture === undefined) return ''
    const caption = `${escapeHtml(chart.title)} <small>${escapeHtml(picture.samples)}</small>`
    return `<figure><figcaption>${caption}</figcaption>${wide(chart.title, picture.svg)}</figure>`
  })
  const about = [`npm run bench:${name}`, ...parameters, `took ${timeText(seconds)}`]
  return `<p class="about">${about.map(escapeHtml).join(' · ')} · load ${load.start} before</p>
<p class="about">${escapeHtml(roundsText(part))}</p>
${charts.join('\n')}
${goalsList(part.goals)}
${list(
  'Absent',
  Object.entries(part.absent).map(([contender, why]) => `${contender}: ${why}`),
)}
${list('Notes', part.notes)}
<details><summary>All figures of this part (${part.figures.length})</summary>${figuresTable(part)}</details>`
}

function goalsList(goals: readonly BenchGoal[]): string {
  if (goals.length === 0) return ''
  const items = goals.map(({ text, reached }) => {
    const mark = reached ? '<b class="good">✓ reached</b>' : '<b class="bad">✗ missed</b>'
    return `<li>${mark} ${escapeHtml(text)}</li>`
  })
  return `<h3>Goals</h3><ul class="goals">${items.join('\n')}</ul>`
}

function list(title: string, texts: readonly string[]): string {
  if (texts.length === 0) return ''
  const items = texts.map((text) => `<li>${escapeHtml(text)}</li>`)
  return `<h3>${title}</h3><ul>${items.join('\n')}</ul>`
}

function timeText(seconds: number): string {
  return seconds < 120 ? `${seconds} s` : `${(seconds / 60).toFixed(1)} min`
}

function styleSheet(): string {
  return `${colours(':root')}
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 80px; }
h1 { font-size: 28px; margin: 0; } h2 { font-size: 21px; margin: 48px 0 8px; } h3 { font-size: 16px; margin: 20px 0 4px; }
a { color: var(--link); } code { font: 14px ui-monospace, monospace; }
.lead, .about, small, .none { color: var(--muted); } .lead { margin: 4px 0 20px; } .about { font-size: 14px; margin: 0; }
.warning { border-left: 4px solid var(--bad); background: var(--raised); padding: 8px 12px; margin: 8px 0; }
.good { color: var(--good); } .bad { color: var(--bad); } .goals { list-style: none; padding: 0; }
section { border-top: 1px solid var(--grid); margin-top: 40px; } section h2 { margin-top: 24px; }
ul { margin: 4px 0; padding-left: 22px; } li { margin: 2px 0; } details { margin: 16px 0; }
summary { cursor: pointer; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 8px 0; } dt { color: var(--muted); } dd { margin: 0; }
figure { margin: 24px 0; } figcaption { font-weight: 600; margin-bottom: 8px; } .wide { overflow-x: auto; }
svg { display: block; color: var(--muted); }
table { border-collapse: collapse; font-size: 14px; margin: 8px 0; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--grid); padding: 4px 12px 4px 0; text-align: right; vertical-align: top; white-space: nowrap; }
caption { text-align: left; color: var(--muted); padding-bottom: 4px; } figcaption small { font-weight: 400; margin-left: 8px; }
th:first-child, .summary td, .summary th { text-align: left; } thead th { color: var(--muted); font-weight: 600; }
.summary td, .summary th { padding-right: 32px; } tbody th { font-weight: 400; } td small { display: block; font-size: 12px; }`
}
