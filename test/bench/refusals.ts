/** What a command line refuses, where the process that it would end is a test's: `process.exit` throws `exit <status>` instead. */
import { afterEach, beforeEach, vi } from 'vitest'

/** For every test of a file. Returns what was said since the test began. */
export function caughtRefusals(): () => string {
  let said = ''
  beforeEach(() => {
    said = ''
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      said += String(text)
      return true
    })
    vi.spyOn(process, 'exit').mockImplementation((code) => {
      throw new Error(`exit ${code}`)
    })
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })
  return () => said
}
