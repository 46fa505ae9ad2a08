/** Data that JSON holds without loss. */
import { StateBackendError } from '../errors.js'

export type JsonValue =
  string | number | boolean | null | readonly JsonValue[] | { readonly [name: string]: JsonValue }

/** Ends the search in a value that contains itself. */
const NESTING_MAX = 100

/** Throws `INVALID_ARGUMENT`, naming the place below `path`, unless JSON gives back what it is given. */
export function checkJsonValue(path: string, value: unknown, nesting = 0): void {
  if (nesting > NESTING_MAX) throw notJson(path, `nested more than ${NESTING_MAX} levels deep`)
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return
    throw notJson(path, `${value}`)
  }
  if (Array.isArray(value)) {
    for (const [index, element] of value.entries()) {
      checkJsonValue(`${path}[${index}]`, element, nesting + 1)
    }
    return
  }
  if (!isPlainObject(value)) throw notJson(path, `of type ${typeof value}`)
  for (const [name, member] of Object.entries(value)) {
    checkJsonValue(`${path}.${name}`, member, nesting + 1)
  }
}

/** What JSON would give back of `value`, which its owner may change from now on. Throws as `checkJsonValue`. */
export function copyOfJsonValue(path: string, value: JsonValue): JsonValue {
  checkJsonValue(path, value)
  return typeof value === 'object' ? structuredClone(value) : value
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function notJson(path: string, what: string): StateBackendError {
  return new StateBackendError(
    'INVALID_ARGUMENT',
    `${path} is ${what}, which JSON would not give back. Use strings, finite numbers, booleans, null, arrays and plain objects.`,
    { details: { path } },
  )
}
