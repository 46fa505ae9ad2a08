/** A command line that nothing can be made of. The message is one line that says what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
