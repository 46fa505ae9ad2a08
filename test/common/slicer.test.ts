import { describe, expect, it } from 'vitest'
import { Slicer } from '../../src/common/slicer.js'
import { SteppingClock } from '../support/stepping-clock.js'

/** Calls of `due` until it is true, at most `max`. */
function callsUntilDue(slicer: Slicer, max: number): number {
  for (let calls = 1; calls <= max; calls++) if (slicer.due()) return calls
  return Infinity
}

describe('Slicer', () => {
  it('is not due while time stands still', () => {
    expect(callsUntilDue(new Slicer(new SteppingClock(0)), 10_000)).toBe(Infinity)
  })

  it('looks at the clock once in 64 calls, and is due after 5 ms', () => {
    expect(callsUntilDue(new Slicer(new SteppingClock(5)), 1000)).toBe(64)
    expect(callsUntilDue(new Slicer(new SteppingClock(1)), 1000)).toBe(5 * 64)
  })

  it('counts a KiB as a call', () => {
    const slicer = new Slicer(new SteppingClock(5))
    expect(slicer.due(62 * 1024)).toBe(false)
    expect(slicer.due(1023)).toBe(true)
    expect(slicer.due(2 ** 20)).toBe(true)
  })

  it('overdue looks at every call', () => {
    const slicer = new Slicer(new SteppingClock(2))
    expect([slicer.overdue(), slicer.overdue(), slicer.overdue()]).toEqual([false, false, true])
  })

  it('a pause lets the event loop turn, and starts a new slice', async () => {
    const clock = new SteppingClock(2)
    const slicer = new Slicer(clock)
    while (!slicer.overdue());
    let turned = false
    setImmediate(() => {
      turned = true
    })
    await slicer.pause()
    expect(turned).toBe(true)
    expect(clock.turns).toBe(1)
    expect(slicer.overdue()).toBe(false)
  })

  it('restart forgets the time and the calls before', () => {
    const slicer = new Slicer(new SteppingClock(5))
    for (let calls = 0; calls < 63; calls++) slicer.due()
    slicer.restart()
    expect(callsUntilDue(slicer, 1000)).toBe(64)
  })
})
