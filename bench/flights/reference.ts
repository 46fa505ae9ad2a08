/**
 * The same results computed plainly, in one pass with Maps and arrays: what the state's must be identical to. It shares no code with
 * state, checkpoints or the operator.
 */
import { readFlights } from './flights-file.js'
import { LAST_DELAYS, type RouteResult } from './route-result.js'

interface Route {
  delays: number[]
  days: Map<number, { flights: number; delayMinutes: number }>
}

/** By route. */
export async function computeReference(records: number): Promise<Map<string, RouteResult>> {
  const routes = new Map<string, Route>()
  for await (const flights of readFlights(0, records)) {
    for (const { route, day, delayMinutes } of flights) {
      let known = routes.get(route)
      if (known === undefined) routes.set(route, (known = { delays: [], days: new Map() }))
      known.delays.push(delayMinutes)
      let onDay = known.days.get(day)
      if (onDay === undefined) known.days.set(day, (onDay = { flights: 0, delayMinutes: 0 }))
      onDay.flights++
      onDay.delayMinutes += delayMinutes
    }
  }
  return new Map([...routes].map(([name, route]) => [name, resultOf(name, route)]))
}

function resultOf(route: string, { delays, days }: Route): RouteResult {
  const byDay = [...days].sort(([a], [b]) => a - b)
  return {
    route,
    flights: delays.length,
    byDay: byDay.map(([day, { flights, delayMinutes }]) => [day, flights, delayMinutes]),
    lastDelays: delays.slice(-LAST_DELAYS),
    worstDelay: delays.reduce((worst, delay) => Math.max(worst, delay)),
    meanDelay: delays.reduce((sum, delay) => sum + delay, 0) / delays.length,
  }
}

/** The first thing that differs, in words; `undefined` when nothing does. */
export function differenceOf(
  expected: RouteResult | undefined,
  actual: RouteResult,
): string | undefined {
  if (expected === undefined) return `${actual.route}: in the state, but in no record`
  for (const field of ['flights', 'worstDelay', 'meanDelay', 'lastDelays', 'byDay'] as const) {
    const [is, must] = [JSON.stringify(actual[field]), JSON.stringify(expected[field])]
    if (is !== must) return `${actual.route}: ${field} is ${is}, must be ${must}`
  }
  return undefined
}
