/**
 * Which goals the second of two results has lost. A goal has no name of its own: it is told from the others by its words, without the
 * numbers that were measured and without the contender it was held against; those of the same words come in the same order in every
 * run. Pure functions.
 */
import type { BenchGoal, BenchPart } from '../harness/part.js'

export interface LostGoal {
  readonly part: string
  /** As the first result says it. */
  readonly before: string
  /** As the second says it, which missed it; without one it did not judge it. */
  readonly after?: string
}

/** Reached in `a`, and missed or not judged in `b`, which may be a part that was not measured at all. */
export function lostGoals(a: BenchPart, b: BenchPart | undefined): LostGoal[] {
  const contenders = [...contendersOf(a), ...(b === undefined ? [] : contendersOf(b))]
  const after = goalsByName(b?.goals ?? [], contenders)
  return [...goalsByName(a.goals, contenders)].flatMap(([name, goal]) => {
    const other = after.get(name)
    if (!goal.reached || other?.reached === true) return []
    const lost = { part: a.part, before: goal.text }
    return other === undefined ? lost : { ...lost, after: other.text }
  })
}

function contendersOf({ figures, absent }: BenchPart): string[] {
  return [...figures.map(({ contender }) => contender), ...Object.keys(absent)]
}

function goalsByName(
  goals: readonly BenchGoal[],
  contenders: readonly string[],
): Map<string, BenchGoal> {
  // Of two names, one may begin with the other.
  const longestFirst = [...new Set(contenders)].toSorted((a, b) => b.length - a.length)
  const counts = new Map<string, number>()
  return new Map(
    goals.map((goal) => {
      const text = longestFirst.reduce((rest, name) => rest.replaceAll(name, '…'), goal.text)
      const words = text.replaceAll(/\d+(\.\d+)?/g, '#')
      const count = (counts.get(words) ?? 0) + 1
      counts.set(words, count)
      return [`${words} ${count}`, goal]
    }),
  )
}
