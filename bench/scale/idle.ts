/** Waits until a store that was just filled has put itself in order: what it compacts later would be on somebody else's clock. */
import { setTimeout as sleep } from 'node:timers/promises'

const LOOK_MS = 250
/** Of one processor. */
const IDLE_FRACTION = 0.05
/** One after the other: on a busy machine a process may be kept waiting for a while. */
const IDLE_LOOKS = 4
/** 2 GB are in order after less than a minute. */
const WAIT_MS_MAX = 180_000

/** Until this process leaves the processors alone, or for as long as is reasonable. */
export async function untilIdle(): Promise<void> {
  let idleLooks = 0
  for (let waitedMs = 0; waitedMs < WAIT_MS_MAX && idleLooks < IDLE_LOOKS; waitedMs += LOOK_MS) {
    const start = process.cpuUsage()
    await sleep(LOOK_MS)
    const { user, system } = process.cpuUsage(start)
    const isIdle = (user + system) / 1000 < LOOK_MS * IDLE_FRACTION
    idleLooks = isIdle ? idleLooks + 1 : 0
  }
}
