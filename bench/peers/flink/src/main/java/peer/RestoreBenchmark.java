package peer;

import com.sun.management.OperatingSystemMXBean;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.RunnableFuture;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalFileSystem;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.state.IncrementalRemoteKeyedStateHandle;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.SharedStateRegistry;
import org.apache.flink.runtime.state.SharedStateRegistryImpl;
import org.apache.flink.runtime.state.SnapshotResult;
import org.apache.flink.runtime.state.filesystem.FsCheckpointStreamFactory;

/**
 * Flink's rescaling benchmark on the records of ours, in two processes: <code>build --records --directory --parallelism</code> leaves a
 * checkpoint, <code>restore --directory --work --parallelism --verify</code> brings it back, and prints what that took as one JSON
 * object. The frame of bench/rescale/adoption.ts, once more in Java.
 */
public final class RestoreBenchmark {
    /** As in bench/rescale/sources.ts. */
    private static final int INCREMENTAL_CHECKPOINTS = 5;

    private static final int CHANGED_RECORDS = 10_000;

    /** Brought back untimed, so that the code is compiled: an eighth of the state. */
    private static final KeyGroupRange WARM_UP_RANGE = new KeyGroupRange(0, KeyedStates.MAX_PARALLELISM / 8 - 1);

    /** 2^53 - 1. */
    private static final long MAX_SAFE_INTEGER = (1L << 53) - 1;

    private static final int WRITE_BUFFER_BYTES = 4096;

    private static final OperatingSystemMXBean PROCESS =
            ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

    /** Volatile, so that nothing read is optimised away. */
    private static volatile Object sink;

    private RestoreBenchmark() {}

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 1; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        File directory = new File(options.get("--directory"));
        int parallelism = Integer.parseInt(options.get("--parallelism"));
        int memoryMib = Integer.parseInt(options.get("--memory-mib"));
        if (arguments[0].equals("build")) {
            build(new File(options.get("--records")), directory, parallelism, memoryMib);
            System.out.println("{}");
        } else {
            File work = new File(options.get("--work"));
            boolean verify = Boolean.parseBoolean(options.get("--verify"));
            List<KeyedStateHandle> handles = readHandles(directory);
            restore(handles, List.of(WARM_UP_RANGE), new File(work, "warm-up"), memoryMib, false);
            List<KeyGroupRange> ranges = new ArrayList<>();
            for (int i = 0; i < parallelism; i++) {
                ranges.add(KeyedStates.range(parallelism, i));
            }
            System.out.println(restore(handles, ranges, new File(work, "measured"), memoryMib, verify));
        }
        // Threads of the backends may still be alive.
        System.exit(0);
    }

    /** Writes the records at {@code parallelism} and takes checkpoints, the first of all, the others after some were written again. */
    private static void build(File recordsFile, File directory, int parallelism, int memoryMib) throws Exception {
        List<KeyedStateHandle> handles = List.of();
        try (KeyedStates states = new KeyedStates(new File(directory, "work"), (long) memoryMib * parallelism);
                RecordsFile records = new RecordsFile(recordsFile)) {
            List<KeyedStates.Subtask> subtasks = new ArrayList<>();
            for (int i = 0; i < parallelism; i++) {
                subtasks.add(states.open(KeyedStates.range(parallelism, i), List.of(), 1.0 / parallelism));
            }
            RecordsFile.Use put =
                    (key, value) -> subtasks.get(KeyedStates.subtask(key, parallelism)).put(key, value);
            Checkpoints checkpoints = new Checkpoints(directory);
            records.forEach(put);
            handles = checkpoints.take(subtasks);
            Random random = new Random(0);
            for (int checkpoint = 0; checkpoint < INCREMENTAL_CHECKPOINTS; checkpoint++) {
                for (int change = 0; change < CHANGED_RECORDS; change++) {
                    records.at(random.nextInt(records.slots), put);
                }
                handles = checkpoints.take(subtasks);
            }
            for (KeyedStates.Subtask subtask : subtasks) {
                subtask.close();
            }
        }
        try (ObjectOutputStream output = new ObjectOutputStream(new FileOutputStream(handlesFile(directory)))) {
            output.writeObject(new ArrayList<>(handles));
        }
    }

    /** All subtasks, one after the other, each until its first read. */
    private static String restore(
            List<KeyedStateHandle> handles, List<KeyGroupRange> ranges, File work, int memoryMib, boolean verify)
            throws Exception {
        long elapsedNanos = 0;
        long cpuNanos = 0;
        long bytesFetched = 0;
        Contents contents = new Contents();
        for (int i = 0; i < ranges.size(); i++) {
            KeyGroupRange range = ranges.get(i);
            try (KeyedStates states = new KeyedStates(new File(work, "subtask-" + i), memoryMib)) {
                List<KeyedStateHandle> own = handles.stream()
                        .map(handle -> handle.getIntersection(range))
                        .filter(handle -> handle != null)
                        .toList();
                bytesFetched += own.stream().mapToLong(KeyedStateHandle::getStateSize).sum();
                long cpuStart = PROCESS.getProcessCpuTime();
                long start = System.nanoTime();
                try (KeyedStates.Subtask subtask = states.open(range, own, 1.0)) {
                    sink = subtask.readOne();
                    elapsedNanos += System.nanoTime() - start;
                    cpuNanos += PROCESS.getProcessCpuTime() - cpuStart;
                    if (verify) {
                        contents.add(subtask);
                    }
                }
            }
        }
        return String.format(
                Locale.ROOT,
                "{\"elapsedMs\":%.3f,\"cpuMs\":%.3f,\"bytesFetched\":%d%s}",
                elapsedNanos / 1e6, cpuNanos / 1e6, bytesFetched, verify ? contents : "");
    }

    private static File handlesFile(File directory) {
        return new File(directory, "handles");
    }

    @SuppressWarnings("unchecked")
    private static List<KeyedStateHandle> readHandles(File directory) throws IOException, ClassNotFoundException {
        try (ObjectInputStream input = new ObjectInputStream(new FileInputStream(handlesFile(directory)))) {
            return (List<KeyedStateHandle>) input.readObject();
        }
    }

    /** What a checkpoint coordinator does for its subtasks. */
    private static final class Checkpoints {
        private final FsCheckpointStreamFactory factory;
        private final SharedStateRegistry registry = new SharedStateRegistryImpl();
        private long id = 0;

        Checkpoints(File directory) throws IOException {
            File root = new File(directory, "checkpoints");
            File shared = new File(root, "shared");
            File exclusive = new File(root, "exclusive");
            if (!shared.mkdirs() || !exclusive.mkdirs()) {
                throw new IOException(root + " is not new");
            }
            this.factory = new FsCheckpointStreamFactory(
                    new LocalFileSystem(), Path.fromLocalFile(exclusive), Path.fromLocalFile(shared), 0, WRITE_BUFFER_BYTES);
        }

        List<KeyedStateHandle> take(List<KeyedStates.Subtask> subtasks) throws Exception {
            id++;
            List<KeyedStateHandle> handles = new ArrayList<>();
            for (KeyedStates.Subtask subtask : subtasks) {
                RunnableFuture<SnapshotResult<KeyedStateHandle>> snapshot = subtask.backend.snapshot(
                        id, id, factory, CheckpointOptions.forCheckpointWithDefaultLocation());
                snapshot.run();
                IncrementalRemoteKeyedStateHandle handle =
                        (IncrementalRemoteKeyedStateHandle) snapshot.get().getJobManagerOwnedSnapshot();
                handle.registerSharedStates(registry, id);
                handles.add(handle);
            }
            for (KeyedStates.Subtask subtask : subtasks) {
                subtask.backend.notifyCheckpointComplete(id);
            }
            return handles;
        }
    }

    /** The ContentsCounter of bench/rescale/records.ts. */
    private static final class Contents {
        private long entries = 0;
        private long checksum = 0;

        void add(KeyedStates.Subtask subtask) throws Exception {
            try (Stream<String> keys = subtask.keys()) {
                for (Iterator<String> iterator = keys.iterator(); iterator.hasNext(); ) {
                    String key = iterator.next();
                    CRC32 crc = new CRC32();
                    crc.update(key.getBytes(StandardCharsets.ISO_8859_1));
                    crc.update(subtask.get(key));
                    entries++;
                    checksum = (checksum + crc.getValue()) % MAX_SAFE_INTEGER;
                }
            }
        }

        @Override
        public String toString() {
            return String.format(Locale.ROOT, ",\"contents\":{\"entries\":%d,\"checksum\":%d}", entries, checksum);
        }
    }
}
