package peer;

/** That of bench/harness/fixed-random.ts, number by number. */
final class FixedRandom {
    private static final int SEED = 0x2545f491;
    private static final double UINT32_VALUES = 0x1p32;
    /** Of the upper of two uint32: what is left makes 52 bits. */
    private static final int DROPPED_BITS = 12;

    private int state = SEED;

    /** In [0, 1). */
    double next() {
        return nextUint32() / UINT32_VALUES;
    }

    /** In [0, 2^52). */
    long nextLong() {
        long upper = nextUint32() >>> DROPPED_BITS;
        return (upper << Integer.SIZE) + nextUint32();
    }

    private long nextUint32() {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        return Integer.toUnsignedLong(state);
    }
}
