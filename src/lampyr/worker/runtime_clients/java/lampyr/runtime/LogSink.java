package lampyr.runtime;

import com.amazonaws.services.lambda.runtime.logging.LogFormat;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;

/**
 * Where messages go: as frames to the descriptor that the worker names, else plain to the output.
 * A frame leaves in one write, so that those of several threads do not mix.
 */
final class LogSink {
    private static final int HEADER_BYTES = 16;
    private static final int FRAME = 0xa55a0002;
    private static final int FRAME_TEXT = 1;

    private final OutputStream output;
    private final boolean framed;

    LogSink(String descriptor) {
        OutputStream found = null;
        if (descriptor != null) {
            try {
                found = new FileOutputStream("/proc/self/fd/" + Integer.parseInt(descriptor), true);
            } catch (IOException | NumberFormatException error) {
                found = null;
            }
        }
        framed = found != null;
        output = framed ? found : new FileOutputStream(FileDescriptor.out);
    }

    boolean framed() {
        return framed;
    }

    void log(byte[] message, int length, LogLevel level, LogFormat format) {
        byte[] bytes = message;
        int count = length;
        if (framed) {
            int kind = FRAME | level.ordinal() << 2 | (format == LogFormat.TEXT ? FRAME_TEXT : 0);
            count = HEADER_BYTES + length;
            bytes = new byte[count];
            put(bytes, 0, kind, 4);
            put(bytes, 4, length, 4);
            put(bytes, 8, System.currentTimeMillis() * 1000, 8);
            System.arraycopy(message, 0, bytes, HEADER_BYTES, length);
        }
        try {
            synchronized (this) {
                output.write(bytes, 0, count);
            }
        } catch (IOException error) {
            // There is nowhere left to say so.
        }
    }

    private static void put(byte[] bytes, int at, long value, int size) {
        for (int index = 0; index < size; index++) {
            bytes[at + index] = (byte) (value >> 8 * (size - 1 - index));
        }
    }
}
