package peer;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** What the operations are given, made before the clock starts: the constants of Flink's state benchmarks. */
final class Inputs {
    private static final long SEED = 13;
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
    private final Random random = new Random(SEED);

    Inputs(int keyCount) {
        this.keyCount = keyCount;
        this.setUpKeys = shuffled(0, keyCount);
        this.mapKeys = shuffled(0, MAP_KEY_COUNT);
        this.randomValues = shuffled(0, RANDOM_VALUE_COUNT);
        this.mapValues = random.doubles(MAP_KEY_COUNT).boxed().toArray(Double[]::new);
        this.dummyList = random.longs(LIST_VALUE_COUNT).boxed().toList();
        for (int i = 0; i < MAP_KEY_COUNT; i++) {
            dummyMap.put(mapKeys[i], random.nextDouble());
        }
    }

    long randomLong() {
        return random.nextLong();
    }

    double randomDouble() {
        return random.nextDouble();
    }

    Long value(int round, int i) {
        return randomValues[(int) (((long) round * keyCount + i) % RANDOM_VALUE_COUNT)];
    }

    /** Keys that no earlier round added. */
    Long[] newKeys(int round) {
        return newKeys.computeIfAbsent(round, r -> shuffled((r + 1L) * keyCount, keyCount));
    }

    private Long[] shuffled(long start, int count) {
        List<Long> keys = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            keys.add(start + i);
        }
        Collections.shuffle(keys, random);
        return keys.toArray(Long[]::new);
    }
}
