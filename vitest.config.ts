import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['node_modules', 'dist'],
    // A process per file: the native modules and the crash tests of one file cannot reach another's.
    pool: 'forks',
    fileParallelism: true,
    // The default leaves a core to itself: half the speed on two.
    maxWorkers: '100%',
    // No test waits for time to pass; these only end a run that hangs, on a slow and shared machine too.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    reporters: ['default', './test/support/closing-reporter.ts'],
  },
})
