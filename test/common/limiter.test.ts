import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Limiter } from '../../src/common/limiter.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('Limiter', () => {
  it('never runs more than its limit, runs all, in the order of the calls', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.record({ turns: fc.nat(3), fails: fc.boolean() }), { maxLength: 20 }),
        async (max, works) => {
          const limiter = new Limiter(max)
          let running = 0
          const started: number[] = []
          const outcomes = await Promise.allSettled(
            works.map(({ turns, fails }, index) =>
              limiter.run(async () => {
                started.push(index)
                expect(++running).toBeLessThanOrEqual(max)
                for (let n = 0; n < turns; n++) await turn()
                running--
                if (fails) throw new Error(`${index}`)
                return index
              }, undefined),
            ),
          )
          expect(started).toEqual(works.map((_, index) => index))
          expect(outcomes.map(({ status }) => status === 'rejected')).toEqual(
            works.map(({ fails }) => fails),
          )
        },
      ),
    )
  })

  it('lets go of who is aborted while waiting, and of nobody else', async () => {
    const limiter = new Limiter(1)
    let end: () => void = () => undefined
    const first = limiter.run(() => new Promise<void>((resolve) => (end = resolve)), undefined)
    const controller = new AbortController()
    const aborted = limiter.run(async () => expect.unreachable('it never ran'), controller.signal)
    const third = limiter.run(async () => 'third', new AbortController().signal)
    controller.abort()
    await expect(aborted).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    end()
    await first
    expect(await third).toBe('third')
    expect(await limiter.run(async () => 'fourth', undefined)).toBe('fourth')
  })

  it('keeps the place of who is aborted just when it was handed over', async () => {
    const limiter = new Limiter(1)
    let end: () => void = () => undefined
    const first = limiter.run(() => new Promise<void>((resolve) => (end = resolve)), undefined)
    const controller = new AbortController()
    const second = limiter.run(async () => 'ran', controller.signal)
    end()
    await first
    controller.abort()
    expect(await second).toBe('ran')
    expect(await limiter.run(async () => 'next', undefined)).toBe('next')
  })
})
