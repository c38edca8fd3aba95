package lampyr.runtime;

/** A handler that cannot be used: its function's fault, told without the client's stack trace. */
final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** The class of the exception behind it, or null. */
    final String type;
    /** Whether the process ends with it; the others are told at every invocation. */
    final boolean fatal;
    private final String trace;

    private Fault(String message, String type, String trace, boolean fatal) {
        super(message, null, false, false);
        this.type = type;
        this.trace = trace;
        this.fatal = fatal;
    }

    static Fault of(String message) {
        return new Fault(message, null, null, false);
    }

    static Fault of(String message, Throwable error, boolean fatal) {
        return new Fault(message, error.getClass().getName(), Failure.trace(error), fatal);
    }

    String report() {
        return Failure.report(getMessage(), type, trace);
    }
}
