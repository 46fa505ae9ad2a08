package peer;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import java.util.stream.LongStream;

/** What the operations are given, made before the clock starts: what bench/state/inputs.ts makes, number by number. */
final class Inputs {
    private static final int MAP_KEY_COUNT = 10;
    private static final int LIST_VALUE_COUNT = 100;
    private static final int RANDOM_VALUE_COUNT = 1_000_000;

    final int keyCount;
    final Long[] setUpKeys;
    final Long[] mapKeys;
    final Double[] mapValues;
    final List<Long> dummyList;
    final Map<Long, Double> dummyMap = new HashMap<>();

    private final Long[] randomValues;
    private final Map<Integer, Long[]> newKeys = new HashMap<>();
    private final FixedRandom random = new FixedRandom();

    Inputs(int keyCount) {
        this.keyCount = keyCount;
        this.setUpKeys = shuffled(0, keyCount);
        this.mapKeys = shuffled(0, MAP_KEY_COUNT);
        this.randomValues = shuffled(0, RANDOM_VALUE_COUNT);
        this.mapValues = DoubleStream.generate(random::next).limit(MAP_KEY_COUNT).boxed().toArray(Double[]::new);
        this.dummyList = LongStream.generate(random::nextLong).limit(LIST_VALUE_COUNT).boxed().toList();
        for (int i = 0; i < MAP_KEY_COUNT; i++) {
            dummyMap.put(mapKeys[i], random.next());
        }
    }

    long randomLong() {
        return random.nextLong();
    }

    double randomDouble() {
        return random.next();
    }

    Long value(int round, int i) {
        return randomValues[(int) (((long) round * keyCount + i) % RANDOM_VALUE_COUNT)];
    }

    /** Keys that no earlier round added. */
    Long[] newKeys(int round) {
        return newKeys.computeIfAbsent(round, r -> shuffled((r + 1L) * keyCount, keyCount));
    }

    private Long[] shuffled(long start, int count) {
        Long[] keys = LongStream.range(start, start + count).boxed().toArray(Long[]::new);
        for (int i = count - 1; i > 0; i--) {
            int j = (int) (random.next() * (i + 1));
            Long key = keys[i];
            keys[i] = keys[j];
            keys[j] = key;
        }
        return keys;
    }
}
