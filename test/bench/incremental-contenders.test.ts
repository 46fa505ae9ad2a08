import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { loadContender } from '../../bench/incremental/contenders.js'
import type { Contender } from '../../bench/incremental/contender.js'
import { CONTENDER_NAMES } from '../../bench/incremental/names.js'
import { valueOf } from '../../bench/incremental/records.js'
import { requirePeer } from '../../bench/state/optional-peers.js'

const KEYS = 3000
const MEMORY_BYTES = 16 * 2 ** 20
/** Those that may not be installed only where they are. */
const INSTALLED = CONTENDER_NAMES.filter((name) => name !== 'better-sqlite3' || isSqliteInstalled())

function isSqliteInstalled(): boolean {
  try {
    requirePeer('better-sqlite3')
    return true
  } catch {
    return false
  }
}

const directories: string[] = []

afterEach(async () => {
  await Promise.all(directories.splice(0).map((path) => rm(path, { recursive: true })))
})

async function writeAll(contender: Contender, version: number, step: number): Promise<void> {
  for (let key = 0; key < KEYS; key += step) {
    contender.write(key, valueOf(key, version))
    if (contender.mustSettle) await contender.settle()
  }
}

async function take(contender: Contender): Promise<number> {
  const { resumed, durable } = contender.checkpoint()
  await resumed
  const { bytes } = await durable
  await contender.discardOld()
  return bytes
}

describe.each(INSTALLED)('%s', (name) => {
  it('restores its newest checkpoint, and no write after it', async () => {
    const module = await loadContender(name)
    const directory = await mkdtemp(join(tmpdir(), 'bench-contender-'))
    directories.push(directory)
    const options = { directory, memoryBytes: MEMORY_BYTES }
    const contender = await module.open(options)
    await writeAll(contender, 1, 1)
    expect(contender.read(1)).toEqual(valueOf(1, 1))
    const bytes = [await take(contender)]
    for (const version of [2, 3]) {
      await writeAll(contender, version, 10)
      bytes.push(await take(contender))
    }
    expect(Math.min(...bytes)).toBeGreaterThan(KEYS / 10)
    await writeAll(contender, 4, 10)
    expect(contender.read(10)).toEqual(valueOf(10, 4))
    await contender.close()

    const restored = await module.restore(options)
    const wrong: number[] = []
    for (let key = 0; key < KEYS; key++) {
      const expected = valueOf(key, key % 10 === 0 ? 3 : 1)
      if (!expected.equals(restored.read(key) ?? new Uint8Array())) wrong.push(key)
    }
    await restored.close()
    expect(wrong).toEqual([])
  })
})
