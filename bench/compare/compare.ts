/**
 * Two results, figure by figure: by how much the second is slower. Pure functions.
 *
 * V1 A throughput or a gain may fall to 0.85 of what it was, a latency, a size or a cost may grow to 1.2 times; both ends pass. None
 *    that was something may become nothing: that was not measured.
 * V2 A figure of the first that the second does not have fails: what is no longer measured is not as fast as before. So does a goal
 *    that the first reached, and a part that failed in either.
 * V3 Results of another machine, size or parameters fail unless they are to be compared anyway. What may make them unlike besides
 *    (versions, a busy machine) is a warning, never silent.
 */
import type { BenchFigure, FigureKind } from '../harness/part.js'
import { spreadOf, type Spread } from '../harness/statistics.js'
import { busyParts, type PartResult, type SuiteResult } from '../suite/result.js'
import { lostGoals, type LostGoal } from './goals.js'

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
  readonly lostGoals: readonly LostGoal[]
  /** Parts that failed in one of them. */
  readonly failed: readonly string[]
  /** Why they cannot be compared, if they are not to be anyway. */
  readonly unlike: readonly string[]
  readonly warnings: readonly string[]
  readonly passes: boolean
}

export interface CompareOptions {
  /** All where there are none. */
  readonly parts?: readonly string[]
  readonly contenders?: readonly string[]
  /** Whether results of another machine, size or parameters may pass. */
  readonly anyway?: boolean
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
  const goals = goalsLost(a, b, options)
  const failed = [...failedParts('A', a, options), ...failedParts('B', b, options)]
  const unlike = differencesOf(a, b, options)
  const whole = onlyInA.length === 0 && goals.length === 0 && failed.length === 0
  const alike = unlike.length === 0 || options.anyway === true
  return {
    compared,
    onlyInA,
    onlyInB,
    lostGoals: goals,
    failed,
    unlike,
    warnings: warningsOf(a, b),
    passes: compared.length > 0 && compared.every(({ passes }) => passes) && whole && alike,
  }
}

/** Goals are of the contender that a part is about: they are not judged where others are compared. */
function goalsLost(a: SuiteResult, b: SuiteResult, options: CompareOptions): LostGoal[] {
  return chosenParts(a, options).flatMap((before) => {
    if (before.status === 'failed') return []
    const about = before.part.figures[0]?.contender ?? ''
    if (options.contenders?.includes(about) === false) return []
    const after = b.parts.find(({ name }) => name === before.name)
    return lostGoals(before.part, after?.status === 'measured' ? after.part : undefined)
  })
}

function failedParts(which: string, result: SuiteResult, options: CompareOptions): string[] {
  return chosenParts(result, options).flatMap((part) =>
    part.status === 'failed' ? `part ${part.name} failed in ${which}: ${part.reason}` : [],
  )
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
  return higherIsBetter ? ratio >= LEAST_OF_A_RATE : ratio > 0 && ratio <= MOST_OF_A_TIME
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

function differencesOf(a: SuiteResult, b: SuiteResult, options: CompareOptions): string[] {
  return [
    ...differences('machine', { ...a.machine }, { ...b.machine }),
    ...(a.size === b.size ? [] : [`different sizes of the run: ${a.size} and ${b.size}`]),
    ...chosenParts(a, options).flatMap((part) => {
      const other = b.parts.find(({ name }) => name === part.name)
      if (part.status === 'failed' || other === undefined || other.status === 'failed') return []
      const { parameters } = part.part
      return differences(`parameter of ${part.name}`, parameters, other.part.parameters)
    }),
  ]
}

function warningsOf(a: SuiteResult, b: SuiteResult): string[] {
  return [
    ...differences('version', a.versions.contenders, b.versions.contenders),
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
  ]
}
