import { it } from 'vitest'
import { expectMainJobOnS3 } from '../main-job/main-job-on-s3.js'
import { locationOf, openStore, removeStore } from './endpoint.js'

it('the main job is killed and comes back with its checkpoints on a real S3 server', async () => {
  const { store, prefix } = await openStore()
  await expectMainJobOnS3(locationOf(prefix), process.env['LSB_S3_ENDPOINT'], {})
  await removeStore(store)
}, 240_000)
