package peer;

import java.io.File;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeutils.base.StringSerializer;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;
import org.apache.flink.core.fs.CloseableRegistry;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.runtime.operators.testutils.MockEnvironment;
import org.apache.flink.runtime.operators.testutils.MockEnvironmentBuilder;
import org.apache.flink.runtime.state.AbstractKeyedStateBackend;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.runtime.state.KeyedStateBackendParametersImpl;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.runtime.state.ttl.TtlTimeProvider;
import org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend;

/**
 * Subtasks of Flink's incremental RocksDB backend as Flink configures it, managed memory included: keys are strings, which Flink
 * assigns to the key groups that bench/rescale/records.ts has them in.
 */
final class KeyedStates implements AutoCloseable {
    static final int MAX_PARALLELISM = 128;
    private static final String STATE_NAME = "random-state";

    private final MockEnvironment environment;
    private final File directory;
    private final CloseableRegistry closeables = new CloseableRegistry();

    KeyedStates(File directory, long memoryMib) {
        this.directory = directory;
        this.environment = new MockEnvironmentBuilder()
                .setManagedMemorySize(memoryMib * 1024 * 1024)
                .setMaxParallelism(MAX_PARALLELISM)
                .build();
    }

    static KeyGroupRange range(int parallelism, int index) {
        return KeyGroupRangeAssignment.computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, parallelism, index);
    }

    static int subtask(String key, int parallelism) {
        return KeyGroupRangeAssignment.assignKeyToParallelOperator(key, MAX_PARALLELISM, parallelism);
    }

    /** {@code memoryFraction} is this subtask's part of the managed memory. */
    Subtask open(KeyGroupRange range, Collection<KeyedStateHandle> handles, double memoryFraction) throws Exception {
        EmbeddedRocksDBStateBackend stateBackend = new EmbeddedRocksDBStateBackend(true);
        stateBackend.setDbStoragePath(directory.getAbsolutePath());
        AbstractKeyedStateBackend<String> backend = stateBackend.createKeyedStateBackend(new KeyedStateBackendParametersImpl<>(
                environment,
                new JobID(),
                "peer",
                StringSerializer.INSTANCE,
                MAX_PARALLELISM,
                range,
                environment.getTaskKvStateRegistry(),
                TtlTimeProvider.DEFAULT,
                new UnregisteredMetricsGroup(),
                (metric, value) -> {},
                List.copyOf(handles),
                closeables,
                memoryFraction));
        return new Subtask(backend);
    }

    @Override
    public void close() throws Exception {
        closeables.close();
        environment.close();
    }

    /** One keyed backend and its state. */
    static final class Subtask implements AutoCloseable {
        final AbstractKeyedStateBackend<String> backend;
        final ValueState<byte[]> state;

        private Subtask(AbstractKeyedStateBackend<String> backend) throws Exception {
            this.backend = backend;
            this.state = backend.getPartitionedState(
                    VoidNamespace.INSTANCE,
                    VoidNamespaceSerializer.INSTANCE,
                    new ValueStateDescriptor<>(STATE_NAME, BytePrimitiveArraySerializer.INSTANCE));
        }

        void put(String key, byte[] value) throws Exception {
            backend.setCurrentKey(key);
            state.update(value);
        }

        byte[] get(String key) throws Exception {
            backend.setCurrentKey(key);
            return state.value();
        }

        Stream<String> keys() {
            return backend.getKeys(STATE_NAME, VoidNamespace.INSTANCE);
        }

        byte[] readOne() throws Exception {
            try (Stream<String> keys = keys()) {
                Optional<String> first = keys.findFirst();
                return first.isPresent() ? get(first.get()) : null;
            }
        }

        @Override
        public void close() throws Exception {
            backend.dispose();
            backend.close();
        }
    }
}
