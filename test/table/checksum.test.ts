import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc32c, maskCrc, unmaskCrc } from '../../src/common/checksum.js'

describe('crc32c', () => {
  it('gives the values of RFC 3720, B.4, as LevelDB does', () => {
    const ascending = Buffer.from(Array.from({ length: 32 }, (_, index) => index))
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a91_36aa)
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8_ab43)
    expect(crc32c(ascending)).toBe(0x46dd_794e)
    expect(crc32c(Buffer.from(ascending).reverse())).toBe(0x113f_db5c)
  })

  it('goes on from the checksum of what came before', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        expect(crc32c(b, crc32c(a))).toBe(crc32c(Buffer.concat([a, b])))
      }),
    )
  })

  it('is masked reversibly, and never stays what it was', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), (crc) => {
        expect(unmaskCrc(maskCrc(crc))).toBe(crc)
        expect(maskCrc(crc)).not.toBe(crc)
      }),
    )
  })
})
