/**
 * CRC-32C as LevelDB uses it in its tables and logs: Castagnoli polynomial, stored masked, so that a checksum computed over
 * bytes that contain checksums stays a good one.
 */
import castagnoli from 'crc-32/crc32c.js'

const MASK_DELTA = 0xa282_ead8

/**
 * CRC-32C of `bytes`, in [0, 2^32 - 1]. `seed` is the checksum of the bytes before them: crc32c(b, crc32c(a)) is that of a
 * followed by b.
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return castagnoli.buf(bytes, seed) >>> 0
}

/** The form in which LevelDB stores a checksum. */
export function maskCrc(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0
}

/** The inverse of `maskCrc`. */
export function unmaskCrc(masked: number): number {
  const rotated = (masked - MASK_DELTA) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}
