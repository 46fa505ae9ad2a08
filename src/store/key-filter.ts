/**
 * The keys that a store was ever given, as a filter in memory: one that it never had need not be looked up.
 *
 * A split block Bloom filter, as the Parquet format has it: a key sets one bit in each of the eight words of one block, so that a question
 * touches one line of memory. Its size is fixed; with 10 bits a key it lets one in a hundred absent keys through.
 *
 * F1 It never says no to a key that was added.
 */

const WORDS_PER_BLOCK = 8
const BLOCK_BYTES = 4 * WORDS_PER_BLOCK
/** Of the bits: then nearly half of the absent keys come through, and asking costs what it saves. About 3.5 bits a key. */
const SET_FRACTION_MAX = 0.9
/** Parquet's. The upper five bits of a hash's product with each are the bit of the word. */
const SALTS = Uint32Array.of(
  0x47b6137b,
  0x44974d91,
  0x8824ad5b,
  0xa2b7289d,
  0x705495c7,
  0x2df1424b,
  0x9efc4947,
  0x5c6bfb31,
)
const WORD_BITS = 32
const BIT_SHIFT = 27

export class KeyFilter {
  readonly #words: Uint32Array
  /** Which block a hash is in is told by its upper bits. */
  readonly #blockShift: number
  #bitsSet = 0

  /** Of the largest power of two up to `bytes`, at least 64; what was never touched takes no memory. */
  constructor(bytes: number) {
    const blockBits = Math.max(1, Math.floor(Math.log2(bytes / BLOCK_BYTES)))
    this.#words = new Uint32Array(WORDS_PER_BLOCK * 2 ** blockBits)
    this.#blockShift = WORD_BITS - blockBits
  }

  /** `hash` is the `bloomHash` of the key. */
  add(hash: number): void {
    const words = this.#words
    const start = (hash >>> this.#blockShift) * WORDS_PER_BLOCK
    for (let i = 0; i < WORDS_PER_BLOCK; i++) {
      const word = words[start + i] ?? 0
      const bit = bitOf(hash, i)
      if ((word & bit) !== 0) continue
      words[start + i] = word | bit
      this.#bitsSet++
    }
  }

  /** Whether a key with this hash may have been added. */
  mayHave(hash: number): boolean {
    const words = this.#words
    const start = (hash >>> this.#blockShift) * WORDS_PER_BLOCK
    for (let i = 0; i < WORDS_PER_BLOCK; i++) {
      if (((words[start + i] ?? 0) & bitOf(hash, i)) === 0) return false
    }
    return true
  }

  /** Whether so many keys were added that it is of no use any more. */
  get isFull(): boolean {
    return this.#bitsSet > SET_FRACTION_MAX * WORD_BITS * this.#words.length
  }
}

function bitOf(hash: number, word: number): number {
  return 1 << (Math.imul(hash, SALTS[word] ?? 0) >>> BIT_SHIFT)
}
