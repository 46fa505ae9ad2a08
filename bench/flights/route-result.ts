/** What is compared: everything that is known of a route at the end. Delays are in minutes. */
export interface RouteResult {
  readonly route: string
  readonly flights: number | undefined
  /** Day, flights, delay; ascending by day. */
  readonly byDay: readonly (readonly [day: number, flights: number, delayMinutes: number])[]
  /** The last `LAST_DELAYS`, from oldest to newest. */
  readonly lastDelays: readonly number[]
  readonly worstDelay: number | undefined
  readonly meanDelay: number | undefined
}

export const LAST_DELAYS = 20
