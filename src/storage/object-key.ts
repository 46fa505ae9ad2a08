/**
 * Which names an object may have: those that every store can keep, unchanged. A key is a relative
 * path with '/' between its segments:
 *
 * - 1 to 1,024 bytes of UTF-8 (S3's limit), each segment 1 to 255 bytes (what a file name may
 *   have);
 * - no segment starts with '.': such names belong to the store itself, and '.' and '..' would leave
 *   the root;
 * - no backslash (a separator on Windows), no control characters, no lone surrogates (they have no
 *   UTF-8).
 */
import { Buffer } from 'node:buffer'
import { StateBackendError } from '../errors.js'

export const keyMaxBytes: number = 1024
const segmentMaxBytes = 255

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const forbidden = /[\u0000-\u001f\u007f-\u009f\\]/

function faultOfText(text: string): string | undefined {
  if (forbidden.test(text)) return 'it has a backslash or a control character'
  if (!text.isWellFormed()) return 'it has a lone surrogate'
  if (Buffer.byteLength(text) > keyMaxBytes) return `it is longer than ${keyMaxBytes} bytes`
  return undefined
}

function faultOfSegment(segment: string): string | undefined {
  if (segment.startsWith('.')) return "a segment starts with '.'"
  if (Buffer.byteLength(segment) > segmentMaxBytes) {
    return `a segment is longer than ${segmentMaxBytes} bytes`
  }
  return undefined
}

/** Why `key` is no key, or undefined when it is one. */
export function faultOfKey(key: string): string | undefined {
  if (key.length === 0) return 'it is empty'
  const segments = key.split('/')
  if (segments.includes('')) return "it has an empty segment: a '/' at an end, or two in a row"
  return faultOfText(key) ?? firstFault(segments)
}

/**
 * Why `prefix` starts no key, or undefined when it may. The empty prefix starts every key, 'a/' all
 * below `a`.
 */
function faultOfPrefix(prefix: string): string | undefined {
  const segments = prefix.split('/')
  if (segments.slice(0, -1).includes('')) return "it has an empty segment: a leading '/' or '//'"
  return faultOfText(prefix) ?? firstFault(segments)
}

function firstFault(segments: readonly string[]): string | undefined {
  for (const segment of segments) {
    const fault = faultOfSegment(segment)
    if (fault !== undefined) return fault
  }
  return undefined
}

function refuse(what: string, text: string, fault: string | undefined): void {
  if (fault === undefined) return
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(text)} is not ${what}: ${fault}. Use a relative path such as 'job/shared/name'.`,
    { details: { key: text } },
  )
}

/** Throws `INVALID_ARGUMENT` unless `key` is a key. */
export function checkKey(key: string): void {
  refuse('an object key', key, faultOfKey(key))
}

/** Throws `INVALID_ARGUMENT` unless some key could start with `prefix`. */
export function checkPrefix(prefix: string): void {
  refuse('a key prefix', prefix, faultOfPrefix(prefix))
}

/** Throws `INVALID_ARGUMENT` unless `text` is one segment of a key. `what` names it: 'a job id'. */
export function checkSegment(what: string, text: string): void {
  refuse(what, text, text.includes('/') ? "it has a '/'" : faultOfKey(text))
}

/**
 * Orders keys by their UTF-8 bytes, as S3 lists them. JavaScript's `<` compares UTF-16 and differs
 * beyond U+FFFF.
 */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
