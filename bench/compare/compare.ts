/**
 * Two results, figure by figure: by how much the second is slower. Pure functions.
 *
 * V1 A throughput or a gain may fall to 0.85 of what it was, a latency, a size or a cost may grow to 1.2 times; both ends pass.
 * V2 A figure of the first that the second does not have fails: what is no longer measured is not as fast as before.
 * V3 What makes two results unlike (machine, versions, parameters, a busy machine) is a warning, never silent.
 */
import type { BenchFigure, FigureKind } from '../harness/part.js'
import { spreadOf, type Spread } from '../harness/statistics.js'
import { busyParts, type PartResult, type SuiteResult } from '../suite/result.js'

export const LEAST_OF_A_RATE = 0.85
export const MOST_OF_A_TIME = 1.2

export interface FigureComparison {
  readonly part: string
  readonly name: string
  readonly contender: string
  readonly x?: number
  readonly kind: FigureKind
  readonly unit: string
  readonly a: Spread
  readonly b: Spread
  /** The median of B over that of A. */
  readonly ratio: number
  readonly passes: boolean
  /** Whether the ranges overlap: then the difference may be chance. */
  readonly overlap: boolean
}

export interface LoneFigure {
  readonly part: string
  readonly name: string
  readonly contender: string
  readonly x?: number
  /** Where it is known. */
  readonly why?: string
}

export interface Comparison {
  readonly compared: readonly FigureComparison[]
  readonly onlyInA: readonly LoneFigure[]
  readonly onlyInB: readonly LoneFigure[]
  readonly warnings: readonly string[]
  readonly passes: boolean
}

export interface CompareOptions {
  /** All where there are none. */
  readonly parts?: readonly string[]
  readonly contenders?: readonly string[]
}

export function compareResults(
  a: SuiteResult,
  b: SuiteResult,
  options: CompareOptions = {},
): Comparison {
  const before = figuresOf(a, options)
  const after = figuresOf(b, options)
  const compared: FigureComparison[] = []
  const onlyInA: LoneFigure[] = []
  for (const [id, { part, figure }] of before) {
    const other = after.get(id)?.figure
    if (other === undefined) onlyInA.push(lone(part, figure, b))
    else compared.push(compareFigures(part, figure, other))
  }
  const onlyInB = [...after]
    .filter(([id]) => !before.has(id))
    .map(([, { part, figure }]) => lone(part, figure, a))
  return {
    compared,
    onlyInA,
    onlyInB,
    warnings: warningsOf(a, b, options),
    passes: compared.length > 0 && onlyInA.length === 0 && compared.every(({ passes }) => passes),
  }
}

interface PlacedFigure {
  readonly part: string
  readonly figure: BenchFigure
}

function figuresOf(result: SuiteResult, options: CompareOptions): Map<string, PlacedFigure> {
  const figures = new Map<string, PlacedFigure>()
  for (const measured of chosenParts(result, options)) {
    if (measured.status === 'failed') continue
    for (const figure of measured.part.figures) {
      if (options.contenders?.includes(figure.contender) === false) continue
      const { name, contender, x, kind, unit } = figure
      // Another unit is another figure.
      const id = JSON.stringify([measured.name, name, contender, x, kind, unit])
      figures.set(id, { part: measured.name, figure })
    }
  }
  return figures
}

function chosenParts({ parts }: SuiteResult, options: CompareOptions): readonly PartResult[] {
  return parts.filter(({ name }) => options.parts?.includes(name) !== false)
}

function compareFigures(part: string, before: BenchFigure, after: BenchFigure): FigureComparison {
  const a = spreadOf(before.samples)
  const b = spreadOf(after.samples)
  const ratio = ratioOf(a.median, b.median)
  const { name, contender, x, kind, unit } = after
  return {
    part,
    name,
    contender,
    ...(x === undefined ? {} : { x }),
    kind,
    unit,
    a,
    b,
    ratio,
    passes: isWithinBounds(kind, ratio),
    overlap: a.min <= b.max && b.min <= a.max,
  }
}

/** Nothing that stays nothing has not changed. */
function ratioOf(before: number, after: number): number {
  return before === after ? 1 : after / before
}

export function isWithinBounds(kind: FigureKind, ratio: number): boolean {
  const higherIsBetter = kind === 'throughput' || kind === 'gain'
  return higherIsBetter ? ratio >= LEAST_OF_A_RATE : ratio <= MOST_OF_A_TIME
}

/** `other` is the result that does not have it. */
function lone(part: string, { name, contender, x }: BenchFigure, other: SuiteResult): LoneFigure {
  const why = whyMissing(
    other.parts.find((candidate) => candidate.name === part),
    contender,
  )
  const figure = { part, name, contender, ...(x === undefined ? {} : { x }) }
  return why === undefined ? figure : { ...figure, why }
}

function whyMissing(part: PartResult | undefined, contender: string): string | undefined {
  if (part === undefined) return 'the part was not run'
  if (part.status === 'failed') return `the part failed: ${part.reason}`
  return part.part.absent[contender]
}

function warningsOf(a: SuiteResult, b: SuiteResult, options: CompareOptions): string[] {
  return [
    ...differences('machine', { ...a.machine }, { ...b.machine }),
    ...differences('version', a.versions.contenders, b.versions.contenders),
    ...(a.size === b.size ? [] : [`different sizes of the run: ${a.size} and ${b.size}`]),
    ...chosenParts(a, options).flatMap((part) => {
      const other = b.parts.find(({ name }) => name === part.name)
      if (part.status === 'failed' || other === undefined || other.status === 'failed') return []
      const { parameters } = part.part
      return differences(`parameter of ${part.name}`, parameters, other.part.parameters)
    }),
    ...unsteady('A', a),
    ...unsteady('B', b),
  ]
}

function differences(
  what: string,
  a: Readonly<Record<string, string | number | boolean>>,
  b: Readonly<Record<string, string | number | boolean>>,
): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((name) => a[name] !== b[name])
    .map((name) => `different ${what}: ${name} ${a[name] ?? 'none'} and ${b[name] ?? 'none'}`)
}

function unsteady(which: string, result: SuiteResult): string[] {
  const busy = busyParts(result)
  const names = busy.map(({ name, load }) => `${name} (load ${load.start})`).join(', ')
  return [
    ...(result.finishedAt === undefined ? [`${which} is not finished, or was interrupted`] : []),
    ...(busy.length === 0 ? [] : [`${which} was measured on a busy machine: ${names}`]),
    ...result.parts
      .filter((part) => part.status === 'failed')
      .map(({ name }) => `part ${name} failed in ${which}`),
  ]
}
