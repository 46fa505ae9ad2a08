/**
 * A whole map in one cell, by user-key identity. While it is small, one array of alternating keys and elements that is looked through from its
 * start: two thirds of the memory of a `Map`, and fewer places of it to touch. Beyond `SEARCHED_ENTRIES_MAX` a `Map`, for good.
 */
import type { KeyIdentity } from '../record/key-serializer.js'
import { MAP_ENTRY_BYTES, elementBytes, flattened, type Element } from './element.js'

/** Up to here looking through the keys costs no more than hashing, and strings that differ early compare as fast as numbers. */
const SEARCHED_ENTRIES_MAX = 16

/** The map itself and its array, empty. */
export const PACKED_MAP_BYTES = 104
/** A key's place in the array and an element's. */
const SEARCHED_ENTRY_BYTES = 16

type Slot = KeyIdentity | Element

/** Never written: the first entry makes an array that is just as long, for all the maps that have no second one. */
const NO_SLOTS: Slot[] = []

export class PackedMap {
  /** `key, element, key, element, …`; empty once there is a `Map`. */
  #slots: Slot[] = NO_SLOTS
  #hashed: Map<KeyIdentity, Element> | undefined = undefined
  #contentBytes = 0

  get size(): number {
    return this.#hashed === undefined ? this.#slots.length >> 1 : this.#hashed.size
  }

  /** Estimated memory. */
  get bytes(): number {
    return PACKED_MAP_BYTES + this.size * this.entryBytes + this.#contentBytes
  }

  /** Of these, what an entry takes besides its key and its element. */
  get entryBytes(): number {
    return this.#hashed === undefined ? SEARCHED_ENTRY_BYTES : MAP_ENTRY_BYTES
  }

  get(userKey: KeyIdentity): Element | undefined {
    if (this.#hashed !== undefined) return this.#hashed.get(userKey)
    const at = this.#slotOf(userKey)
    return at < 0 ? undefined : this.#slots[at + 1]
  }

  has(userKey: KeyIdentity): boolean {
    return this.#hashed === undefined ? this.#slotOf(userKey) >= 0 : this.#hashed.has(userKey)
  }

  set(userKey: KeyIdentity, element: Element): void {
    if (this.#hashed !== undefined) {
      this.#setHashed(this.#hashed, userKey, element)
      return
    }
    const at = this.#slotOf(userKey)
    if (at >= 0) {
      this.#contentBytes += elementBytes(element) - elementBytes(this.#slots[at + 1] as Element)
      this.#slots[at + 1] = element
    } else if (this.#slots.length < 2 * SEARCHED_ENTRIES_MAX) {
      if (this.#slots.length === 0) this.#slots = [flattened(userKey), element]
      else this.#slots.push(flattened(userKey), element)
      this.#contentBytes += elementBytes(userKey) + elementBytes(element)
    } else {
      this.#setHashed(this.#hash(), userKey, element)
    }
  }

  delete(userKey: KeyIdentity): void {
    const replaced = this.get(userKey)
    if (replaced === undefined) return
    this.#contentBytes -= elementBytes(userKey) + elementBytes(replaced)
    if (this.#hashed !== undefined) {
      this.#hashed.delete(userKey)
      return
    }
    // The last entry takes the place: there is no order to keep.
    const at = this.#slotOf(userKey)
    const element = this.#slots.pop() as Slot
    const key = this.#slots.pop() as Slot
    if (at === this.#slots.length) return
    this.#slots[at] = key
    this.#slots[at + 1] = element
  }

  /** In no order; the caller's own. */
  keys(): KeyIdentity[] {
    const keys: KeyIdentity[] = []
    this.forEach((userKey) => keys.push(userKey))
    return keys
  }

  /** In the order of `keys`. `visit` changes nothing. */
  forEach(visit: (userKey: KeyIdentity, element: Element) => void): void {
    this.#hashed?.forEach((element, userKey) => visit(userKey, element))
    const slots = this.#slots
    for (let at = 0; at < slots.length; at += 2) {
      visit(slots[at] as KeyIdentity, slots[at + 1] as Element)
    }
  }

  copy(): PackedMap {
    const copy = new PackedMap()
    copy.#slots = [...this.#slots]
    copy.#hashed = this.#hashed === undefined ? undefined : new Map(this.#hashed)
    copy.#contentBytes = this.#contentBytes
    return copy
  }

  #slotOf(userKey: KeyIdentity): number {
    const slots = this.#slots
    for (let at = 0; at < slots.length; at += 2) if (slots[at] === userKey) return at
    return -1
  }

  #setHashed(hashed: Map<KeyIdentity, Element>, userKey: KeyIdentity, element: Element): void {
    const replaced = hashed.get(userKey)
    this.#contentBytes += elementBytes(element)
    if (replaced === undefined) this.#contentBytes += elementBytes(userKey)
    else this.#contentBytes -= elementBytes(replaced)
    hashed.set(replaced === undefined ? flattened(userKey) : userKey, element)
  }

  #hash(): Map<KeyIdentity, Element> {
    const hashed = new Map<KeyIdentity, Element>()
    this.forEach((userKey, element) => hashed.set(userKey, element))
    this.#slots = NO_SLOTS
    this.#hashed = hashed
    return hashed
  }
}
