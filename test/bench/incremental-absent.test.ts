/** As where lmdb is not installed. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { loadContender } from '../../bench/incremental/contenders.js'
import { fillCounters } from '../../bench/scale/counters.js'

const MISSING = 'lmdb is not installed'

vi.mock('lmdb', () => {
  throw new Error('lmdb is not installed')
})

it('is lmdb alone that cannot be measured', async () => {
  await expect(loadContender('lmdb')).rejects.toHaveProperty('cause.message', MISSING)
  await expect(loadContender('incremental')).resolves.toMatchObject({ prepared: 'checkpoint' })

  const directory = await mkdtemp(join(tmpdir(), 'bench-absent-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  await expect(fillCounters('lmdb', directory, 1)).rejects.toHaveProperty('cause.message', MISSING)
})
