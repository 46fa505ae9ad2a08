package peer;

import com.sun.management.OperatingSystemMXBean;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;
import org.apache.flink.runtime.state.KeyedStateBackend;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.state.benchmark.StateBackendBenchmarkUtils;
import org.apache.flink.util.FileUtils;

/**
 * Runs the operations on the backends, and prints their rates as one JSON object: <code>--keys --rounds --millis --memory-mib
 * --backends --groups --clock</code>. The frame of bench/state/measure.ts, once more in Java.
 */
public final class StateBenchmark {
    private static final int WARM_UP_ROUNDS = 2;
    private static final int STEP = 2000;

    /** All threads of the process: the backends' own too. */
    private static final OperatingSystemMXBean PROCESS =
            ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

    /** Volatile, so that nothing read is optimised away. */
    private static volatile Object sink;

    private StateBenchmark() {}

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        int rounds = number(options, "--rounds", 3);
        int millis = number(options, "--millis", 300);
        int memoryMib = number(options, "--memory-mib", 256);
        LongSupplier clock =
                "cpu".equals(options.get("--clock")) ? PROCESS::getProcessCpuTime : System::nanoTime;
        List<String> results = new ArrayList<>();
        for (String backend : options.getOrDefault("--backends", "HEAP,ROCKSDB,ROCKSDB_BUDGET").split(",")) {
            for (String group : options.getOrDefault("--groups", "value,list,map").split(",")) {
                Inputs inputs = new Inputs(number(options, "--keys", 500_000));
                results.addAll(run(backend, group, inputs, memoryMib, rounds, millis, clock));
            }
        }
        System.out.printf(
                "{\"version\":\"%s\",\"jdk\":\"%s\",\"results\":[%s]}%n",
                EnvironmentInformation.getVersion(), System.getProperty("java.version"), String.join(",", results));
        // Threads of the backends may still be alive.
        System.exit(0);
    }

    private static List<String> run(
            String name, String group, Inputs inputs, int memoryMib, int rounds, int millis, LongSupplier clock) throws Exception {
        File directory = Files.createTempDirectory("level-state-backend-flink-").toFile();
        KeyedStateBackend<Long> backend = Backends.create(name, directory, memoryMib);
        List<String> results = new ArrayList<>();
        try {
            for (Operations.Operation operation : new Operations(backend, inputs).prepare(group)) {
                List<String> rates = new ArrayList<>();
                List<String> cpuRates = new ArrayList<>();
                for (int round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
                    Figures figures = measure(operation, inputs, round, millis, clock);
                    if (round >= WARM_UP_ROUNDS) {
                        rates.add(rate(figures.operations(), figures.elapsedNanos()));
                        cpuRates.add(rate(figures.operations(), figures.cpuNanos()));
                    }
                }
                results.add(String.format(
                        "{\"backend\":\"%s\",\"operation\":\"%s\",\"opsPerSecond\":[%s],\"opsPerCpuSecond\":[%s]}",
                        name, operation.name(), String.join(",", rates), String.join(",", cpuRates)));
            }
        } finally {
            StateBackendBenchmarkUtils.cleanUp(backend);
            FileUtils.deleteDirectoryQuietly(directory);
        }
        return results;
    }

    private record Figures(long operations, long elapsedNanos, long cpuNanos) {}

    private static String rate(long operations, long nanos) {
        return String.format("%.0f", operations * 1e9 / Math.max(1, nanos));
    }

    /** One round: over all keys once, or again and again, until its time is up. */
    private static Figures measure(Operations.Operation operation, Inputs inputs, int round, int millis, LongSupplier clock)
            throws Exception {
        inputs.newKeys(round);
        if (operation.before() != null) {
            for (int i = 0; i < inputs.keyCount; i++) {
                operation.before().run(round, i);
            }
        }
        Operations.Body body = operation.body();
        long cpuStart = PROCESS.getProcessCpuTime();
        long start = System.nanoTime();
        long now = clock.getAsLong();
        long end = now + millis * 1_000_000L;
        long done = 0;
        do {
            for (int from = 0; from < inputs.keyCount && now < end; from += STEP) {
                int to = Math.min(from + STEP, inputs.keyCount);
                for (int i = from; i < to; i++) {
                    Object read = body.run(round, i);
                    if (read != null) {
                        sink = read;
                    }
                }
                done += to - from;
                now = clock.getAsLong();
            }
        } while (operation.repeatable() && now < end);
        return new Figures(done * operation.elements(), System.nanoTime() - start, PROCESS.getProcessCpuTime() - cpuStart);
    }

    private static int number(Map<String, String> options, String name, int fallback) {
        String text = options.get(name);
        return text == null ? fallback : Integer.parseInt(text);
    }
}
