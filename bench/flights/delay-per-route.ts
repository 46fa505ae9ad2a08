/** The operator: five states per route, one of each kind. */
import type {
  AggregatingState,
  ListState,
  MapState,
  ReducingState,
  ValueState,
} from '../../src/state/state.js'
import type { KeyedStateBackend } from '../../src/state/keyed-state-backend.js'
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
} from '../../src/state/state-descriptor.js'
import type { StreamOperator } from '../../src/host/local-stream-job.js'
import type { Flight } from './flights-file.js'
import { LAST_DELAYS, type RouteResult } from './route-result.js'

interface Day {
  readonly flights: number
  readonly delayMinutes: number
}

interface Mean {
  count: number
  sum: number
}

const flightsState = valueState<number>('flights')
const byDayState = mapState<number, Day>('by-day')
const lastDelaysState = listState<number>('last-delays')
const worstDelayState = reducingState<number>('worst-delay', (a, b) => Math.max(a, b))
const meanDelayState = aggregatingState<number, Mean, number>('mean-delay', {
  createAccumulator: () => ({ count: 0, sum: 0 }),
  add: (delayMinutes, { count, sum }) => ({ count: count + 1, sum: sum + delayMinutes }),
  getResult: ({ count, sum }) => sum / count,
})

/** The list of last delays holds up to twice as many as are asked for. */
export class DelayPerRoute implements StreamOperator<Flight> {
  readonly #backend: KeyedStateBackend<string>
  readonly #flights: ValueState<number>
  readonly #byDay: MapState<number, Day>
  readonly #lastDelays: ListState<number>
  readonly #worstDelay: ReducingState<number>
  readonly #meanDelay: AggregatingState<number, number>

  constructor(backend: KeyedStateBackend<string>) {
    this.#backend = backend
    this.#flights = backend.getState(flightsState)
    this.#byDay = backend.getState(byDayState)
    this.#lastDelays = backend.getState(lastDelaysState)
    this.#worstDelay = backend.getState(worstDelayState)
    this.#meanDelay = backend.getState(meanDelayState)
  }

  process({ day, delayMinutes }: Flight): void {
    const flights = (this.#flights.value() ?? 0) + 1
    this.#flights.update(flights)
    const sofar = this.#byDay.get(day)
    this.#byDay.put(day, {
      flights: (sofar?.flights ?? 0) + 1,
      delayMinutes: (sofar?.delayMinutes ?? 0) + delayMinutes,
    })
    this.#lastDelays.add(delayMinutes)
    // Cut back now and then: writing the whole list for each flight would be most of the work.
    if (flights % LAST_DELAYS === 0)
      this.#lastDelays.update(this.#lastDelays.get().slice(-LAST_DELAYS))
    this.#worstDelay.add(delayMinutes)
    this.#meanDelay.add(delayMinutes)
  }

  async *results(): AsyncGenerator<RouteResult> {
    for await (const route of this.#backend.getKeys(flightsState.name)) {
      this.#backend.setCurrentKey(route)
      const byDay: RouteResult['byDay'][number][] = []
      for await (const [day, { flights, delayMinutes }] of this.#byDay.entries()) {
        byDay.push([day, flights, delayMinutes])
      }
      yield {
        route,
        flights: this.#flights.value(),
        byDay,
        lastDelays: this.#lastDelays.get().slice(-LAST_DELAYS),
        worstDelay: this.#worstDelay.get(),
        meanDelay: this.#meanDelay.get(),
      }
    }
  }
}
