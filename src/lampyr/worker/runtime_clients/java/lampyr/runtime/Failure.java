package lampyr.runtime;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/** What is said of an exception: to the Runtime API and in the log. */
final class Failure {
    private static final String OWN_PACKAGE = "lampyr.runtime.";

    /** Null for a fault that no exception stands behind. */
    final String type;
    final byte[] body;
    /** As AWS logs it: message and type, then the stack trace. */
    final String report;

    private Failure(String type, byte[] body, String report) {
        this.type = type;
        this.body = body;
        this.report = report;
    }

    static Failure of(Throwable error) {
        if (error instanceof Fault) {
            Fault fault = (Fault) error;
            return new Failure(fault.type, json(fault.getMessage(), fault.type, null), fault.report());
        }
        cut(error);
        String message = message(error);
        String type = error.getClass().getName();
        return new Failure(type, json(message, type, error.getStackTrace()), report(message, type, trace(error)));
    }

    static String message(Throwable error) {
        String message = error.getLocalizedMessage();
        return message == null ? error.getClass().getName() : message;
    }

    static String report(String message, String type, String trace) {
        if (type == null && trace == null) {
            return message + "\n";
        }
        return message + ": " + (type == null ? "" : type) + "\n" + (trace == null ? "" : trace) + "\n";
    }

    static String trace(Throwable error) {
        cut(error);
        StringWriter text = new StringWriter();
        error.printStackTrace(new PrintWriter(text, true));
        return text.toString();
    }

    /** Cuts this client's own frames, and what is below them, from all the traces of an exception. */
    static void cut(Throwable error) {
        cut(error, Collections.newSetFromMap(new IdentityHashMap<>()));
    }

    private static void cut(Throwable error, Set<Throwable> seen) {
        if (error == null || !seen.add(error)) {
            return;
        }
        StackTraceElement[] trace = error.getStackTrace();
        for (int index = 0; index < trace.length; index++) {
            if (trace[index].getClassName().startsWith(OWN_PACKAGE)) {
                StackTraceElement[] kept = new StackTraceElement[index];
                System.arraycopy(trace, 0, kept, 0, index);
                error.setStackTrace(kept);
                break;
            }
        }
        cut(error.getCause(), seen);
        for (Throwable suppressed : error.getSuppressed()) {
            cut(suppressed, seen);
        }
    }

    private static byte[] json(String message, String type, StackTraceElement[] trace) {
        JsonWriter json = new JsonWriter().begin('{');
        json.name("errorMessage").string(message);
        if (type != null) {
            json.name("errorType").string(type);
        }
        if (trace != null) {
            json.name("stackTrace").begin('[');
            for (StackTraceElement element : trace) {
                json.string(element.toString());
            }
            json.end(']');
        }
        return json.end('}').toString().getBytes(StandardCharsets.UTF_8);
    }
}
