package lampyr.runtime;

/** JSON that is none, or that does not fit the type it is to become, or a value that has no JSON. */
final class JsonException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    JsonException(String message) {
        super(message);
    }

    JsonException(String message, Throwable cause) {
        super(message, cause);
    }
}
