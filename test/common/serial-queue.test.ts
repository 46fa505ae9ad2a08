import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { SerialQueue } from '../../src/common/serial-queue.js'

describe('SerialQueue', () => {
  it('runs one piece of work after the other, in the order of the calls', async () => {
    const queue = new SerialQueue()
    const log: string[] = []
    let running = 0
    const work = async (name: string, turns: number): Promise<string> => {
      expect(++running).toBe(1)
      for (; turns > 0; turns--) await turn()
      log.push(name)
      running--
      return name
    }
    const results = await Promise.all([
      queue.push(() => work('a', 3)),
      queue.push(() => work('b', 0)),
      queue.push(() => work('c', 1)),
    ])
    expect(results).toEqual(['a', 'b', 'c'])
    expect(log).toEqual(['a', 'b', 'c'])
  })

  it('starts no work within the call', async () => {
    let started = false
    const queue = new SerialQueue()
    const pushed = queue.push(() => {
      started = true
    })
    expect(started).toBe(false)
    await pushed
    expect(started).toBe(true)
  })

  it('goes on after a failure, which is the caller s alone', async () => {
    const queue = new SerialQueue()
    const thrown = queue.push(() => {
      throw new Error('thrown')
    })
    const rejected = queue.push(() => Promise.reject(new Error('rejected')))
    const fine = queue.push(() => 'fine')
    await expect(thrown).rejects.toThrow('thrown')
    await expect(rejected).rejects.toThrow('rejected')
    expect(await fine).toBe('fine')
    await queue.idle()
  })

  it('idle resolves when all that was pushed before has settled, failures as well', async () => {
    const queue = new SerialQueue()
    await queue.idle()
    let done = 0
    const finish = async (): Promise<void> => {
      await turn()
      done++
    }
    const failing = queue.push(async () => {
      await finish()
      throw new Error('failed')
    })
    failing.catch(() => undefined)
    void queue.push(finish)
    await queue.idle()
    expect(done).toBe(2)
  })
})
