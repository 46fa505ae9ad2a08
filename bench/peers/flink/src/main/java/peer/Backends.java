package peer;

import java.io.File;
import java.io.IOException;
import java.util.List;
import org.apache.flink.api.common.ExecutionConfig;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.core.fs.CloseableRegistry;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.runtime.state.AbstractStateBackend;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyedStateBackend;
import org.apache.flink.runtime.state.LocalRecoveryConfig;
import org.apache.flink.runtime.state.metrics.LatencyTrackingStateConfig;
import org.apache.flink.runtime.state.metrics.SizeTrackingStateConfig;
import org.apache.flink.runtime.state.ttl.TtlTimeProvider;
import org.apache.flink.state.benchmark.StateBackendBenchmarkUtils;
import org.apache.flink.state.benchmark.StateBackendBenchmarkUtils.StateBackendType;
import org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend.PriorityQueueStateType;
import org.apache.flink.state.rocksdb.PredefinedOptions;
import org.apache.flink.state.rocksdb.RocksDBConfigurableOptions;
import org.apache.flink.state.rocksdb.RocksDBKeyedStateBackendBuilder;
import org.apache.flink.state.rocksdb.RocksDBPriorityQueueConfig;
import org.apache.flink.state.rocksdb.RocksDBResourceContainer;

/** The keyed backends that are measured. */
final class Backends {
    /** Two write buffers of 64 MiB are RocksDB's part of the memory before its block cache. */
    private static final long WRITE_BUFFERS_MIB = 128;

    private static final int KEY_GROUPS = 2;

    private Backends() {}

    /**
     * {@code HEAP} and {@code ROCKSDB} as Flink's own benchmarks create them (RocksDB with a block cache of 8 MiB); {@code
     * ROCKSDB_BUDGET} is the same with the rest of the memory budget as its block cache.
     */
    static KeyedStateBackend<Long> create(String name, File directory, long memoryMib) throws IOException {
        return switch (name) {
            case "HEAP" -> StateBackendBenchmarkUtils.createKeyedStateBackend(StateBackendType.HEAP, directory);
            case "ROCKSDB" -> StateBackendBenchmarkUtils.createKeyedStateBackend(StateBackendType.ROCKSDB, directory);
            case "ROCKSDB_BUDGET" -> rocksDB(directory, memoryMib);
            default -> throw new IllegalArgumentException("No backend " + name);
        };
    }

    private static KeyedStateBackend<Long> rocksDB(File directory, long memoryMib) throws IOException {
        long cacheMib = Math.max(8, memoryMib - WRITE_BUFFERS_MIB);
        Configuration configuration = new Configuration();
        configuration.set(RocksDBConfigurableOptions.BLOCK_CACHE_SIZE, MemorySize.ofMebiBytes(cacheMib));
        RocksDBResourceContainer container =
                new RocksDBResourceContainer(configuration, PredefinedOptions.DEFAULT, null, null, null, false);
        ExecutionConfig executionConfig = new ExecutionConfig();
        return new RocksDBKeyedStateBackendBuilder<>(
                        "Test",
                        Thread.currentThread().getContextClassLoader(),
                        StateBackendBenchmarkUtils.prepareDirectory("dbPath", directory),
                        container,
                        stateName -> container.getColumnOptions(),
                        null,
                        LongSerializer.INSTANCE,
                        KEY_GROUPS,
                        new KeyGroupRange(0, KEY_GROUPS - 1),
                        executionConfig,
                        LocalRecoveryConfig.BACKUP_AND_RECOVERY_DISABLED,
                        RocksDBPriorityQueueConfig.buildWithPriorityQueueType(PriorityQueueStateType.ROCKSDB),
                        TtlTimeProvider.DEFAULT,
                        LatencyTrackingStateConfig.disabled(),
                        SizeTrackingStateConfig.disabled(),
                        new UnregisteredMetricsGroup(),
                        (metric, value) -> {},
                        List.of(),
                        AbstractStateBackend.getCompressionDecorator(executionConfig),
                        new CloseableRegistry())
                .build();
    }
}
