/**
 * Closes a test run with one plain line, `N passed, N failed` (and `, N skipped` when there are any), for people and
 * programs that read only the last line.
 *
 * The line never looks better than the run: a file that does not load, a failing hook, an error outside any test and a
 * test that never ended count as failed, one each.
 */
import type { SerializedError } from 'vitest'
import type { Reporter, TestModule, TestSuite } from 'vitest/node'

export default class ClosingReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    process.stdout.write(`${closingLine(modules, unhandledErrors)}\n`)
  }
}

function closingLine(
  modules: readonly TestModule[],
  unhandledErrors: readonly SerializedError[],
): string {
  const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
  for (const module of modules) {
    count.failed += ownFailures(module)
    for (const suite of module.children.allSuites()) count.failed += ownFailures(suite)
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      count[state === 'pending' ? 'failed' : state]++
    }
  }
  const skipped = count.skipped === 0 ? '' : `, ${count.skipped} skipped`
  return `${count.passed} passed, ${count.failed} failed${skipped}`
}

/** 1 when the file or suite itself failed, by not loading or in a hook, beside whatever its tests did. */
function ownFailures(suite: TestModule | TestSuite): number {
  return suite.errors().length > 0 ? 1 : 0
}
