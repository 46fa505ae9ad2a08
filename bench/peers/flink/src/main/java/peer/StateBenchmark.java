package peer;

import com.sun.management.OperatingSystemMXBean;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.LongSupplier;
import org.apache.flink.runtime.state.KeyedStateBackend;
import org.apache.flink.state.benchmark.StateBackendBenchmarkUtils;
import org.apache.flink.util.FileUtils;

/**
 * Runs the operations of a group on a backend, and prints their rates and checks as one JSON object: <code>--backend --group --keys
 * --rounds --millis --memory-mib --clock</code>. The frame of bench/state/measure.ts, once more in Java.
 */
public final class StateBenchmark {
    private static final long WARM_UP_MILLIS_MIN = 300;
    /** Of the first operation: the backend's own code is compiled meanwhile. */
    private static final long FIRST_WARM_UP_MILLIS_MIN = 1000;
    /** At most, where one round is no longer than a pass over the keys; of what is cumulative always. */
    private static final int WARM_UP_ROUNDS = 3;

    private static final int STEP = 2000;
    private static final int CHECKED_OPERATIONS = 1000;
    /** Of a processor, in IDLE_LOOK_MILLIS: a process that does nothing but wait. */
    private static final double IDLE_FRACTION_MAX = 0.2;
    private static final long IDLE_LOOK_MILLIS = 100;
    /** A minute: a backend that never rests is measured all the same. */
    private static final int IDLE_LOOKS_MAX = 600;

    /** All threads of the process: the backends' own too. */
    private static final OperatingSystemMXBean PROCESS =
            ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

    /** Volatile, so that nothing read is optimised away. */
    private static volatile Object sink;

    private final Inputs inputs;
    private final int rounds;
    private final long millis;
    private final LongSupplier clock;
    private final List<String> results = new ArrayList<>();
    private final List<String> checks = new ArrayList<>();

    private StateBenchmark(Map<String, String> options) {
        this.inputs = new Inputs(number(options, "--keys"));
        this.rounds = number(options, "--rounds");
        this.millis = number(options, "--millis");
        this.clock = "cpu".equals(options.get("--clock")) ? PROCESS::getProcessCpuTime : System::nanoTime;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        File directory = Files.createTempDirectory("level-state-backend-flink-").toFile();
        KeyedStateBackend<Long> backend =
                Backends.create(options.get("--backend"), directory, number(options, "--memory-mib"));
        try {
            System.out.println(new StateBenchmark(options).run(backend, options.get("--group")));
        } finally {
            StateBackendBenchmarkUtils.cleanUp(backend);
            FileUtils.deleteDirectoryQuietly(directory);
        }
        // Threads of the backends may still be alive.
        System.exit(0);
    }

    private String run(KeyedStateBackend<Long> backend, String group) throws Exception {
        long warmUpMillisMin = FIRST_WARM_UP_MILLIS_MIN;
        List<Operations.Operation> operations = new Operations(backend, inputs).prepare(group);
        awaitIdle();
        for (Operations.Operation operation : operations) {
            if (operation.kind() == Operations.Kind.READ) {
                checks.add("\"" + operation.name() + "\":" + check(operation.body()));
            }
            warmUp(operation, Math.max(2 * millis, warmUpMillisMin));
            warmUpMillisMin = WARM_UP_MILLIS_MIN;
            results.add(measure(operation));
        }
        return "{\"results\":[" + String.join(",", results) + "],\"checks\":{" + String.join(",", checks) + "}}";
    }

    /** What the set-up leaves to other threads (flushes, compactions) is not on the operations' clock. */
    private static void awaitIdle() throws InterruptedException {
        for (int looks = 0; looks < IDLE_LOOKS_MAX; looks++) {
            long start = PROCESS.getProcessCpuTime();
            Thread.sleep(IDLE_LOOK_MILLIS);
            if (PROCESS.getProcessCpuTime() - start < IDLE_FRACTION_MAX * IDLE_LOOK_MILLIS * 1_000_000) {
                return;
            }
        }
    }

    /** What the first ones read, added up. */
    private double check(Operations.Body body) throws Exception {
        double sum = 0;
        for (int i = 0; i < Math.min(CHECKED_OPERATIONS, inputs.keyCount); i++) {
            sum += numberOf(body.run(0, i));
        }
        return sum;
    }

    /** As bench/state/operations.ts has it: of a list its length. */
    private static double numberOf(Object read) {
        if (read instanceof Number number) {
            return number.doubleValue();
        }
        if (read instanceof Boolean answer) {
            return answer ? 1 : 0;
        }
        int length = 0;
        for (Object value : (Iterable<?>) read) {
            length++;
        }
        return length;
    }

    private void warmUp(Operations.Operation operation, long warmUpMillis) throws Exception {
        long left = warmUpMillis;
        for (int round = 0; round < WARM_UP_ROUNDS && (operation.isCumulative() || left > 0); round++) {
            left -= run(operation, round, left).elapsedNanos() / 1_000_000;
        }
    }

    private String measure(Operations.Operation operation) throws Exception {
        List<String> rates = new ArrayList<>();
        List<String> cpuRates = new ArrayList<>();
        for (int round = 0; round < rounds; round++) {
            Figures figures = run(operation, WARM_UP_ROUNDS + round, millis);
            rates.add(rate(figures.operations(), figures.elapsedNanos()));
            cpuRates.add(rate(figures.operations(), figures.cpuNanos()));
        }
        return String.format(
                Locale.ROOT,
                "{\"operation\":\"%s\",\"opsPerSecond\":[%s],\"opsPerCpuSecond\":[%s]}",
                operation.name(), String.join(",", rates), String.join(",", cpuRates));
    }

    private record Figures(long operations, long elapsedNanos, long cpuNanos) {}

    private static String rate(long operations, long nanos) {
        return String.format(Locale.ROOT, "%.0f", operations * 1e9 / Math.max(1, nanos));
    }

    /** One round: over all keys once, or again and again, until its time is up; what is cumulative over all keys. */
    private Figures run(Operations.Operation operation, int round, long roundMillis) throws Exception {
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
        long end = operation.isCumulative() ? Long.MAX_VALUE : now + roundMillis * 1_000_000L;
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
        } while (operation.kind() != Operations.Kind.ONCE && now < end);
        return new Figures(done * operation.elements(), System.nanoTime() - start, PROCESS.getProcessCpuTime() - cpuStart);
    }

    private static int number(Map<String, String> options, String name) {
        return Integer.parseInt(options.get(name));
    }
}
