import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WorkDirectory } from '../../src/store/work-directory.js'

const lockName = 'level-state-backend.lock'
const holderScript = fileURLToPath(new URL('./work-directory-holder.ts', import.meta.url))
const uuid = (n: number): string => `00000000-0000-4000-8000-${`${n}`.padStart(12, '0')}`

describe('WorkDirectory', () => {
  let base: string
  let directory: string
  const children = new Set<ChildProcess>()
  beforeEach(() => {
    base = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'work-directory-')))
    directory = join(base, 'work')
  })
  afterEach(async () => {
    await Promise.all([...children].map((child) => end(child, 'SIGKILL')))
    fs.rmSync(base, { recursive: true })
  })

  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    children.delete(child)
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'close')
    child.kill(signal)
    await ended
  }

  interface Holder {
    readonly process: ChildProcess
    /** Sends a word and resolves to the answer. */
    ask(word: string): Promise<string>
  }

  async function startHolder(): Promise<Holder> {
    const child = spawn(process.execPath, ['--import', 'tsx', holderScript, directory], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.add(child)
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const answer = async (): Promise<string> => {
      const { value, done } = await lines.next()
      return done === true ? expect.unreachable('the holder ended') : value
    }
    expect(await answer()).toBe('ready')
    return {
      process: child,
      ask(word) {
        child.stdin.write(`${word}\n`)
        return answer()
      },
    }
  }

  /** The lock of a process that was killed: true to life but for its id. */
  function plantDeadLock(name: string, id: string, pid: number, processStartTime = ''): void {
    const holder = { pid, processStartTime, hostname: hostname(), id }
    fs.writeFileSync(join(directory, name), JSON.stringify(holder))
  }

  /** A pid that no process has, with the boot it is of. */
  async function deadPid(): Promise<number> {
    const child = spawn(process.execPath, ['-e', ''])
    await once(child, 'close')
    return child.pid ?? expect.unreachable('the child did not start')
  }

  describe('alone', () => {
    it('makes the directory and those above it, and an empty incarnation at each call', () => {
      directory = join(base, 'a', 'b', 'c')
      const work = WorkDirectory.acquire(directory)
      const first = work.createIncarnation('delay-per-route')
      const second = work.createIncarnation('delay-per-route')
      expect(first).not.toBe(second)
      expect(fs.readdirSync(first)).toEqual([])
      expect(first.startsWith(join(directory, 'inc-delay-per-route-'))).toBe(true)
      work.release()
      expect(fs.existsSync(join(directory, lockName))).toBe(false)
    })

    it.each(['', '../../x', 'a/b c\u0000', 'é'.repeat(300), '..'])(
      'makes a folder of its own for the name %j',
      (name) => {
        const work = WorkDirectory.acquire(directory)
        const path = work.createIncarnation(name)
        expect(join(path, '..')).toBe(directory)
        work.release()
        WorkDirectory.acquire(directory).release()
        expect(fs.readdirSync(directory)).toEqual([])
      },
    )

    it('W1: is shared within the process, by any way to the directory, until the last release', () => {
      const first = WorkDirectory.acquire(directory)
      const incarnation = first.createIncarnation('x')
      fs.symlinkSync(directory, join(base, 'link'))
      const second = WorkDirectory.acquire(join(base, 'link'))
      expect(second.path).toBe(first.path)
      expect(fs.existsSync(incarnation)).toBe(true)
      first.release()
      first.release()
      expect(fs.existsSync(join(directory, lockName))).toBe(true)
      second.createIncarnation('y')
      second.release()
      expect(fs.existsSync(join(directory, lockName))).toBe(false)
    })

    it('is not used after its release', () => {
      const work = WorkDirectory.acquire(directory)
      work.release()
      expect(() => work.createIncarnation('x')).toThrow(
        expect.objectContaining({ code: 'INVARIANT_BROKEN' }),
      )
    })

    it('S5: sweeps the incarnations of before, at the latest when it is given up again', () => {
      const work = WorkDirectory.acquire(directory)
      const incarnation = work.createIncarnation('x')
      fs.writeFileSync(join(incarnation, '000005.ldb'), 'table')
      work.release()
      expect(fs.existsSync(incarnation)).toBe(true)
      WorkDirectory.acquire(directory).release()
      expect(fs.readdirSync(directory)).toEqual([])
    })

    it.each([
      ['a file', (path: string) => fs.writeFileSync(join(path, 'thesis.txt'), '')],
      ['a folder', (path: string) => fs.mkdirSync(join(path, 'photos'))],
      [
        'a folder that only starts like ours',
        (path: string) => fs.mkdirSync(join(path, 'inc-2024')),
      ],
      [
        'a folder that only starts like a leftover of ours',
        (path: string) => fs.mkdirSync(join(path, 'left-over')),
      ],
      ['a hidden file', (path: string) => fs.writeFileSync(join(path, '.profile'), '')],
      [
        'a file named like an incarnation',
        (path: string) => fs.writeFileSync(join(path, `inc-x-${uuid(1)}`), ''),
      ],
      ['a folder named like the lock', (path: string) => fs.mkdirSync(join(path, lockName))],
    ])('W2: refuses a directory with %s in it, and touches nothing', (_, plant) => {
      fs.mkdirSync(join(directory, `inc-x-${uuid(2)}`), { recursive: true })
      fs.mkdirSync(join(directory, `left-x-${uuid(3)}`))
      plant(directory)
      const before = fs.readdirSync(directory)
      expect(() => WorkDirectory.acquire(directory)).toThrow(
        expect.objectContaining({ code: 'DIRECTORY_NOT_EMPTY', kind: 'conflict' }),
      )
      expect(fs.readdirSync(directory)).toEqual(before)
    })

    it('refuses a file in its place, or above it, as DIRECTORY_NOT_WRITABLE', () => {
      fs.writeFileSync(directory, 'a file')
      for (const path of [directory, join(directory, 'below')]) {
        expect(() => WorkDirectory.acquire(path)).toThrow(
          expect.objectContaining({
            code: 'DIRECTORY_NOT_WRITABLE',
            message: expect.stringContaining('a file stands where a directory is needed'),
          }),
        )
      }
      expect(fs.readFileSync(directory, 'utf8')).toBe('a file')
    })

    it('takes over from a dead process', async () => {
      const pid = await deadPid()
      fs.mkdirSync(directory)
      plantDeadLock(lockName, uuid(1), pid)
      WorkDirectory.acquire(directory).release()
      expect(fs.readdirSync(directory)).toEqual([])
    })

    it.each(['', '{', '[]', '{"pid":1}', '{"pid":-1,"processStartTime":"","hostname":"","id":""}'])(
      'takes the lock %j, which names nobody, as held',
      (text) => {
        fs.mkdirSync(directory)
        fs.writeFileSync(join(directory, lockName), text)
        expect(() => WorkDirectory.acquire(directory)).toThrow(
          expect.objectContaining({
            code: 'DIRECTORY_IN_USE',
            message: expect.stringContaining(join(directory, lockName)),
          }),
        )
        expect(fs.readFileSync(join(directory, lockName), 'utf8')).toBe(text)
      },
    )

    it('takes the lock of another host as held', async () => {
      fs.mkdirSync(directory)
      const holder = {
        pid: await deadPid(),
        processStartTime: '',
        hostname: 'elsewhere',
        id: uuid(1),
      }
      fs.writeFileSync(join(directory, lockName), JSON.stringify(holder))
      expect(() => WorkDirectory.acquire(directory)).toThrow(
        expect.objectContaining({
          code: 'DIRECTORY_IN_USE',
          message: expect.stringContaining('elsewhere'),
        }),
      )
    })

    it('takes the lock of another thread or copy of this module as held', () => {
      fs.mkdirSync(directory)
      plantDeadLock(lockName, uuid(1), process.pid)
      expect(() => WorkDirectory.acquire(directory)).toThrow(
        expect.objectContaining({
          code: 'DIRECTORY_IN_USE',
          message: expect.stringContaining('this process'),
        }),
      )
    })

    it.runIf(process.platform === 'linux')(
      'takes over from a dead process whose pid another one has now',
      () => {
        fs.mkdirSync(directory)
        plantDeadLock(lockName, uuid(1), process.pid, 'another boot/1')
        WorkDirectory.acquire(directory).release()
        expect(fs.readdirSync(directory)).toEqual([])
      },
    )

    it('takes over from processes that died while they took over, and clears up after them', async () => {
      const pid = await deadPid()
      fs.mkdirSync(directory)
      plantDeadLock(lockName, uuid(1), pid)
      plantDeadLock(`${lockName}.guard-${uuid(1)}`, uuid(2), pid)
      plantDeadLock(`${lockName}.guard-${uuid(2)}`, uuid(3), pid)
      plantDeadLock(`${lockName}.guard-${uuid(9)}`, uuid(1), pid)
      plantDeadLock(`${lockName}.new-${pid}-${uuid(4)}`, uuid(4), pid)
      const work = WorkDirectory.acquire(directory)
      expect(fs.readdirSync(directory)).toEqual([lockName])
      work.release()
      expect(fs.readdirSync(directory)).toEqual([])
    })

    it('P3: leaves a takeover to the live process that is at it', async () => {
      fs.mkdirSync(directory)
      plantDeadLock(lockName, uuid(1), await deadPid())
      plantDeadLock(`${lockName}.guard-${uuid(1)}`, uuid(2), process.pid)
      const before = fs.readdirSync(directory)
      expect(() => WorkDirectory.acquire(directory)).toThrow(
        expect.objectContaining({ code: 'DIRECTORY_IN_USE' }),
      )
      expect(fs.readdirSync(directory)).toEqual(before)
    })
  })

  describe('among processes', () => {
    it('is refused while another one lives, with its pid, and free after its release', async () => {
      const holder = await startHolder()
      const incarnation = (await holder.ask('acquire')).replace('acquired ', '')
      expect(() => WorkDirectory.acquire(directory)).toThrow(
        expect.objectContaining({
          code: 'DIRECTORY_IN_USE',
          message: expect.stringContaining(`process ${holder.process.pid}`),
          details: { path: directory, pid: holder.process.pid, hostname: hostname() },
        }),
      )
      expect(fs.existsSync(incarnation)).toBe(true)
      expect(await holder.ask('release')).toBe('released')
      const work = WorkDirectory.acquire(directory)
      expect(fs.existsSync(incarnation)).toBe(false)
      expect(await holder.ask('acquire')).toMatch(`DIRECTORY_IN_USE`)
      work.release()
    })

    it('is taken over from one that was killed, and its incarnation is swept', async () => {
      const holder = await startHolder()
      const incarnation = (await holder.ask('acquire')).replace('acquired ', '')
      fs.writeFileSync(join(incarnation, '000005.ldb'), 'table')
      await end(holder.process, 'SIGKILL')
      expect(fs.existsSync(join(directory, lockName))).toBe(true)
      const work = WorkDirectory.acquire(directory)
      expect(fs.existsSync(incarnation)).toBe(false)
      work.release()
      expect(fs.readdirSync(directory)).toEqual([])
    })

    it('P1, P2: is taken over by exactly one of those who try at once, again and again', async () => {
      const rounds = 60
      const pid = await deadPid()
      fs.mkdirSync(directory)
      const holders = await Promise.all([
        startHolder(),
        startHolder(),
        startHolder(),
        startHolder(),
      ])
      for (let round = 0; round < rounds; round++) {
        if (round % 3 > 0) plantDeadLock(lockName, uuid(10 * round + 1), pid)
        if (round % 3 > 1) {
          plantDeadLock(`${lockName}.guard-${uuid(10 * round + 1)}`, uuid(10 * round + 2), pid)
        }
        const answers = await Promise.all(holders.map((holder) => holder.ask('acquire')))
        const [winner, ...others] = answers.filter((answer) => answer.startsWith('acquired'))
        expect(others, `round ${round}`).toEqual([])
        expect(winner, `round ${round}: ${answers.join('\n')}`).toBeDefined()
        const losers = answers.filter((answer) => answer.startsWith('DIRECTORY_IN_USE'))
        expect(losers.length, answers.join('\n')).toBe(holders.length - 1)
        await Promise.all(holders.map((holder) => holder.ask('release')))
        expect(fs.readdirSync(directory).filter((name) => name.startsWith(lockName))).toEqual([])
      }
    })
  })
})
