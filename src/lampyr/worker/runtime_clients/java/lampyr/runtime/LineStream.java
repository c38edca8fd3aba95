package lampyr.runtime;

import com.amazonaws.services.lambda.runtime.logging.LogFormat;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.OutputStream;
import java.util.Arrays;

/**
 * What is printed becomes one message a line, as it does on AWS, whether a line was printed in one
 * call or in several.
 */
final class LineStream extends OutputStream {
    private static final int LINE_BYTES_MAX = 256 * 1024;

    private final LogSink sink;
    private byte[] line = new byte[256];
    private int length;

    LineStream(LogSink sink) {
        this.sink = sink;
    }

    @Override
    public synchronized void write(int value) {
        write(new byte[] {(byte) value}, 0, 1);
    }

    @Override
    public synchronized void write(byte[] bytes, int offset, int count) {
        int start = offset;
        for (int index = offset; index < offset + count; index++) {
            if (bytes[index] == '\n') {
                add(bytes, start, index + 1 - start);
                emit();
                start = index + 1;
            }
        }
        add(bytes, start, offset + count - start);
        if (length > LINE_BYTES_MAX) {
            emit();
        }
    }

    /** What has been printed of a line that is not ended, at the end of an invocation. */
    synchronized void emit() {
        if (length > 0) {
            sink.log(line, length, LogLevel.UNDEFINED, LogFormat.TEXT);
            length = 0;
        }
    }

    private void add(byte[] bytes, int offset, int count) {
        if (length + count > line.length) {
            line = Arrays.copyOf(line, Math.max(length + count, line.length * 2));
        }
        System.arraycopy(bytes, offset, line, length, count);
        length += count;
    }
}
