/** `npm run test:s3`: the tests that need an S3 endpoint, which the environment names. */
import { defineConfig } from 'vitest/config'
import shared from './vitest.config.js'

export default defineConfig({
  ...shared,
  test: { ...shared.test, include: ['test/s3/**/*.s3.ts'] },
})
