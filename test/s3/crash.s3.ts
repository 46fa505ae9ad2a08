import { expect, it } from 'vitest'
import { KILLS_ON_S3, killAgainAndAgain } from '../crash/killed-job.js'
import { locationOf, openStore, removeStore } from './endpoint.js'

it.each(['leveldb', 'hashmap'] as const)(
  'a killed process, %s, with its checkpoints on a real S3 server comes back, and leaves nothing unexplained',
  async (kind) => {
    const { store, prefix } = await openStore()
    const storage = locationOf(prefix)
    const endpoint = process.env['LSB_S3_ENDPOINT']
    const newestId = await killAgainAndAgain({ kind, storage, endpoint }, KILLS_ON_S3)
    expect(newestId, 'the job made progress').toBeGreaterThan(0)
    await removeStore(store)
  },
)
