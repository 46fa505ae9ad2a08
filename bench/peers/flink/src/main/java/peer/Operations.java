package peer;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.state.KeyedStateBackend;
import org.apache.flink.state.benchmark.StateBackendBenchmarkUtils;
import org.apache.flink.state.rocksdb.RocksDBKeyedStateBackend;

/**
 * The bodies of Flink's state benchmarks, in the order in which they are run on one state: what reads first, what shrinks the state
 * last. The same list, in the same order, is in ../../../../../../state/operations.ts.
 */
final class Operations {
    interface Body {
        /** Does operation {@code i} of a round; returns something that depends on what was read. */
        Object run(int round, int i) throws Exception;
    }

    enum Kind {
        /** Changes nothing: what it returns can be compared between contenders. */
        READ,
        /** Going over the keys again in one round is the same work. */
        REWRITE,
        /** Adds or removes. */
        ONCE
    }

    /**
     * @param elements what one call counts as
     * @param before sets the state up for one round, off the clock; may be null
     */
    record Operation(String name, int elements, Kind kind, Body body, Body before) {
        /** Whether each round leaves another state than it found, for the rounds and operations after it. */
        boolean isCumulative() {
            return kind == Kind.ONCE && before == null;
        }
    }

    private final KeyedStateBackend<Long> backend;
    private final Inputs in;

    Operations(KeyedStateBackend<Long> backend, Inputs in) {
        this.backend = backend;
        this.in = in;
    }

    /** Fills the state of a group, and returns its operations. */
    List<Operation> prepare(String group) throws Exception {
        return switch (group) {
            case "value" -> value();
            case "list" -> list();
            case "map" -> map();
            default -> throw new IllegalArgumentException("No group " + group);
        };
    }

    private List<Operation> value() throws Exception {
        ValueState<Long> state =
                StateBackendBenchmarkUtils.getValueState(backend, new ValueStateDescriptor<>("kvState", Long.class));
        for (long key = 0; key < in.keyCount; key++) {
            backend.setCurrentKey(key);
            state.update(in.randomLong());
        }
        List<Operation> operations = new ArrayList<>();
        add(operations, "valueGet", 1, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            return state.value();
        });
        add(operations, "valueUpdate", 1, Kind.REWRITE, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            state.update(in.value(round, i));
            return null;
        });
        add(operations, "valueAdd", 1, Kind.ONCE, (round, i) -> {
            backend.setCurrentKey(in.newKeys(round)[i]);
            state.update(in.value(round, i));
            return null;
        });
        return operations;
    }

    private List<Operation> list() throws Exception {
        ListStateDescriptor<Long> descriptor = new ListStateDescriptor<>("listState", Long.class);
        ListState<Long> state = StateBackendBenchmarkUtils.getListState(backend, descriptor);
        for (long key = 0; key < in.keyCount; key++) {
            backend.setCurrentKey(key);
            state.add(in.randomLong());
        }
        if (backend instanceof RocksDBKeyedStateBackend<Long> rocksDB) {
            StateBackendBenchmarkUtils.compactState(rocksDB, descriptor);
        }
        Body update = (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            state.update(List.of(in.value(round, i)));
            return null;
        };
        List<Operation> operations = new ArrayList<>();
        add(operations, "listGet", 1, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            return state.get();
        });
        add(operations, "listGetAndIterate", 1, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            long sum = 0;
            for (Long value : state.get()) {
                sum += value;
            }
            return sum;
        });
        add(operations, "listUpdate", 1, Kind.REWRITE, update);
        add(operations, "listAdd", 1, Kind.ONCE, (round, i) -> {
            backend.setCurrentKey(in.newKeys(round)[i]);
            state.update(List.of(in.value(round, i)));
            return null;
        });
        operations.add(new Operation("listAppend", 1, Kind.ONCE, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            state.add(in.value(round, i));
            return null;
        }, update));
        operations.add(new Operation("listAddAll", 1, Kind.ONCE, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            state.addAll(in.dummyList);
            return null;
        }, update));
        return operations;
    }

    private List<Operation> map() throws Exception {
        MapState<Long, Double> state = StateBackendBenchmarkUtils.getMapState(
                backend, new MapStateDescriptor<>("mapState", Long.class, Double.class));
        for (long key = 0; key < in.keyCount; key++) {
            backend.setCurrentKey(key);
            for (Long mapKey : in.mapKeys) {
                state.put(mapKey, in.randomDouble());
            }
        }
        int entries = in.mapKeys.length;
        List<Operation> operations = new ArrayList<>();
        add(operations, "mapGet", 1, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            return state.get(mapKey(round, i));
        });
        add(operations, "mapContains", 1, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            return state.contains(mapKey(round, i) << 1);
        });
        add(operations, "mapIsEmpty", 1, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            return state.isEmpty();
        });
        add(operations, "mapKeys", entries, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            long sum = 0;
            for (Long key : state.keys()) {
                sum += key;
            }
            return sum;
        });
        add(operations, "mapValues", entries, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            double sum = 0;
            for (Double value : state.values()) {
                sum += value;
            }
            return sum;
        });
        add(operations, "mapEntries", entries, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            double sum = 0;
            for (Map.Entry<Long, Double> entry : state.entries()) {
                sum += entry.getKey() + entry.getValue();
            }
            return sum;
        });
        add(operations, "mapIterator", entries, Kind.READ, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            double sum = 0;
            for (var entries2 = state.iterator(); entries2.hasNext(); ) {
                Map.Entry<Long, Double> entry = entries2.next();
                sum += entry.getKey() + entry.getValue();
            }
            return sum;
        });
        add(operations, "mapUpdate", 1, Kind.REWRITE, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            state.put(mapKey(round, i), in.mapValues[i % entries]);
            return null;
        });
        add(operations, "mapPutAll", 1, Kind.REWRITE, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            state.putAll(in.dummyMap);
            return null;
        });
        add(operations, "mapAdd", 1, Kind.ONCE, (round, i) -> {
            backend.setCurrentKey(in.newKeys(round)[i]);
            state.put(mapKey(round, i), in.mapValues[i % entries]);
            return null;
        });
        add(operations, "mapRemove", 1, Kind.ONCE, (round, i) -> {
            backend.setCurrentKey(in.setUpKeys[i]);
            state.remove(mapKey(round, i));
            return null;
        });
        return operations;
    }

    private Long mapKey(int round, int i) {
        return in.mapKeys[(i + round) % in.mapKeys.length];
    }

    private static void add(List<Operation> to, String name, int elements, Kind kind, Body body) {
        to.add(new Operation(name, elements, kind, body, null));
    }
}
