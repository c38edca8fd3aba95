package lampyr.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogFormat;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** The process's log: its sink, its logger, and System.out and System.err turned to it. */
public final class Logs {
    private static final LogSink SINK = new LogSink(System.getenv("_LAMBDA_TELEMETRY_LOG_FD"));
    private static final Logger LOGGER = new Logger(SINK);
    private static LineStream out;
    private static LineStream err;

    private Logs() {
    }

    public static LambdaLogger logger() {
        return LOGGER;
    }

    static void takeOver() {
        if (SINK.framed()) {
            out = new LineStream(SINK);
            err = new LineStream(SINK);
            System.setOut(printer(out));
            System.setErr(printer(err));
        } else {
            System.setOut(printer(new FileOutputStream(FileDescriptor.out)));
            System.setErr(printer(new FileOutputStream(FileDescriptor.err)));
        }
    }

    private static PrintStream printer(OutputStream stream) {
        return new PrintStream(stream, true, StandardCharsets.UTF_8);
    }

    /** Before an invocation is answered: what it printed belongs to it. */
    static void flush() {
        if (out != null) {
            out.emit();
            err.emit();
        }
    }

    static void begin(LambdaContext context) {
        LOGGER.context = context;
    }

    static void print(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        SINK.log(bytes, bytes.length, LogLevel.UNDEFINED, LogFormat.TEXT);
    }

    static void error(String text) {
        LOGGER.log(text, LOGGER.format == LogFormat.JSON ? LogLevel.ERROR : LogLevel.UNDEFINED);
    }

    private static final class Logger implements LambdaLogger {
        private final LogSink sink;
        private final LogFormat format;
        private final LogLevel least;
        private volatile LambdaContext context;

        Logger(LogSink sink) {
            this.sink = sink;
            this.format = "JSON".equalsIgnoreCase(System.getenv("AWS_LAMBDA_LOG_FORMAT"))
                    ? LogFormat.JSON : LogFormat.TEXT;
            this.least = level(System.getenv("AWS_LAMBDA_LOG_LEVEL"));
        }

        private static LogLevel level(String name) {
            if (name == null || name.isEmpty()) {
                return LogLevel.UNDEFINED;
            }
            try {
                return LogLevel.fromString(name);
            } catch (IllegalArgumentException error) {
                return LogLevel.UNDEFINED;
            }
        }

        @Override
        public void log(String message) {
            log(message, LogLevel.UNDEFINED);
        }

        @Override
        public void log(byte[] message) {
            log(message, LogLevel.UNDEFINED);
        }

        @Override
        public void log(String message, LogLevel level) {
            if (enabled(level)) {
                String text = format == LogFormat.JSON ? json(message, level) : text(message, level);
                byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
                sink.log(bytes, bytes.length, level, format);
            }
        }

        /** Bytes are the function's own format and go as they are. */
        @Override
        public void log(byte[] message, LogLevel level) {
            if (enabled(level)) {
                sink.log(message, message.length, level, format);
            }
        }

        private boolean enabled(LogLevel level) {
            return level == LogLevel.UNDEFINED || level.ordinal() >= least.ordinal();
        }

        private static String text(String message, LogLevel level) {
            return level == LogLevel.UNDEFINED ? String.valueOf(message) : "[" + level.name() + "] " + message;
        }

        private String json(String message, LogLevel level) {
            JsonWriter json = new JsonWriter().begin('{');
            json.name("timestamp").string(Stamp.now());
            if (message != null) {
                json.name("message").string(message);
            }
            json.name("level").string(level.name());
            LambdaContext current = context;
            if (current != null) {
                json.name("AWSRequestId").string(current.getAwsRequestId());
                if (current.getTenantId() != null) {
                    json.name("tenantId").string(current.getTenantId());
                }
            }
            return json.end('}').toString() + "\n";
        }
    }
}
