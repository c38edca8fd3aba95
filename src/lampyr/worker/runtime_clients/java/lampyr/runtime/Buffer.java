package lampyr.runtime;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** Bytes to send, readable without the copy that {@link ByteArrayOutputStream} makes. */
final class Buffer extends ByteArrayOutputStream {
    private static final int KEPT_BYTES = 256 * 1024;

    Buffer() {
        super(1024);
    }

    byte[] array() {
        return buf;
    }

    @Override
    public synchronized void reset() {
        super.reset();
        if (buf.length > KEPT_BYTES) {
            buf = new byte[1024];
        }
    }

    void text(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        write(bytes, 0, bytes.length);
    }
}
