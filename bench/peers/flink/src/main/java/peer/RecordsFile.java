package peer;

import java.io.BufferedInputStream;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;

/** The records that bench/recovery/records-file.ts wrote: a slot for each, key and value; a slot of zeros where a record was removed. */
final class RecordsFile implements Closeable {
    private static final int KEY_BYTES = 96;
    private static final int VALUE_BYTES = 128;
    private static final int SLOT_BYTES = KEY_BYTES + VALUE_BYTES;
    private static final int READ_BYTES = 1 << 20;

    interface Use {
        void record(String key, byte[] value) throws Exception;
    }

    final int slots;
    private final File file;
    private final RandomAccessFile random;

    RecordsFile(File file) throws IOException {
        this.file = file;
        this.slots = Math.toIntExact(file.length() / SLOT_BYTES);
        this.random = new RandomAccessFile(file, "r");
    }

    void forEach(Use use) throws Exception {
        byte[] slot = new byte[SLOT_BYTES];
        try (DataInputStream input =
                new DataInputStream(new BufferedInputStream(new FileInputStream(file), READ_BYTES))) {
            for (int i = 0; i < slots; i++) {
                input.readFully(slot);
                useSlot(slot, use);
            }
        }
    }

    void at(int index, Use use) throws Exception {
        byte[] slot = new byte[SLOT_BYTES];
        random.seek((long) index * SLOT_BYTES);
        random.readFully(slot);
        useSlot(slot, use);
    }

    private static void useSlot(byte[] slot, Use use) throws Exception {
        if (slot[0] == 0) {
            return;
        }
        byte[] value = new byte[VALUE_BYTES];
        System.arraycopy(slot, KEY_BYTES, value, 0, VALUE_BYTES);
        use.record(new String(slot, 0, KEY_BYTES, StandardCharsets.ISO_8859_1), value);
    }

    @Override
    public void close() throws IOException {
        random.close();
    }
}
