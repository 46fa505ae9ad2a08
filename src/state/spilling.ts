/** Where a packed list or map spills to entries of its own. */

/** Ten entries packed in one value are read 30 times faster than by a scan; far beyond that, rewriting all for one costs more. */
export const PACKED_ENTRIES_MAX = 128

/** Estimated memory of a packed cell, in bytes: with large elements rewriting pays off even earlier. */
export const PACKED_BYTES_MAX: number = 16 * 1024
