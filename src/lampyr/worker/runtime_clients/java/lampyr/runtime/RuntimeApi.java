package lampyr.runtime;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;

/**
 * The Runtime API. What ends an invocation and the request for the next one leave in one write, and
 * are answered together: that saves a round trip for each.
 */
final class RuntimeApi {
    private static final String PREFIX = "/2018-06-01/runtime/";
    private static final int PIECE_BYTES = 64 * 1024;
    private static final int OK = 200;
    private static final int ACCEPTED = 202;

    private final String host;
    private final int port;
    private final String common;
    private final byte[] next;
    private final Buffer request = new Buffer();
    private Connection connection;

    RuntimeApi(String address) {
        int colon = address.lastIndexOf(':');
        host = colon < 0 ? address : address.substring(0, colon);
        port = colon < 0 ? 80 : Integer.parseInt(address.substring(colon + 1));
        common = " HTTP/1.1\r\nHost: " + address
                + "\r\nUser-Agent: aws-lambda-java/" + System.getProperty("java.version") + "\r\n";
        next = get("invocation/next");
    }

    Invocation next() throws IOException {
        request.reset();
        return askNext();
    }

    Invocation respondAndNext(String requestId, Buffer response) throws IOException {
        response("invocation/" + requestId + "/response", null, response.array(), response.size());
        return askNext();
    }

    Invocation failAndNext(String requestId, Failure failure) throws IOException {
        response("invocation/" + requestId + "/error", failure.type, failure.body, failure.body.length);
        return askNext();
    }

    /** For a failure after which no further event is wanted. */
    void fail(String requestId, Failure failure) throws IOException {
        post("invocation/" + requestId + "/error", failure.type, failure);
    }

    /** The type is the platform's word for what failed; the body names the exception. */
    void initError(String type, Failure failure) throws IOException {
        post("init/error", type, failure);
    }

    void restoreError(String type, Failure failure) throws IOException {
        post("restore/error", type, failure);
    }

    /** Returns once the process is to go on, perhaps as a copy of itself. */
    void restoreNext() throws IOException {
        request.reset();
        byte[] bytes = get("restore/next");
        request.write(bytes, 0, bytes.length);
        require(OK, exchange(new Invocation()), "restore/next");
    }

    /** In pieces, because an archive is large and its bytes are wanted only once. */
    void archive(InputStream content, long length) throws IOException {
        connect();
        byte[] head = head("restore/archive", "application/octet-stream", null, length);
        connection.write(head, head.length);
        byte[] piece = new byte[PIECE_BYTES];
        for (int count = content.read(piece); count >= 0; count = content.read(piece)) {
            connection.write(piece, count);
        }
        require(ACCEPTED, connection.read(new Invocation()), "restore/archive");
    }

    void close() {
        if (connection != null) {
            connection.close();
            connection = null;
        }
    }

    private void post(String path, String type, Failure failure) throws IOException {
        response(path, type, failure.body, failure.body.length);
        Invocation reply = new Invocation();
        accept(exchange(reply), reply);
    }

    private void response(String path, String errorType, byte[] body, int length) {
        request.reset();
        byte[] head = head(path, "application/json", errorType, length);
        request.write(head, 0, head.length);
        request.write(body, 0, length);
    }

    private Invocation askNext() throws IOException {
        boolean answering = request.size() > 0;
        request.write(next, 0, next.length);
        Invocation reply = new Invocation();
        int status = exchange(reply);
        if (answering) {
            accept(status, reply);
            reply = new Invocation();
            status = connection.read(reply);
        }
        require(OK, status, "invocation/next");
        return reply;
    }

    /** A response that is refused has been answered for by the service: its event is done. */
    private static void accept(int status, Invocation reply) {
        if (status != ACCEPTED) {
            Logs.print("the Runtime API refused what was sent (" + status + "): "
                    + new String(reply.event, StandardCharsets.UTF_8).trim() + "\n");
        }
    }

    private static void require(int wanted, int status, String path) throws IOException {
        if (status != wanted) {
            throw new IOException("the Runtime API answered " + status + " to " + path);
        }
    }

    /** Writes the request and reads the first reply; once more if the kept connection was closed. */
    private int exchange(Invocation reply) throws IOException {
        boolean kept = connection != null;
        connect();
        try {
            connection.write(request.array(), request.size());
            return connection.read(reply);
        } catch (IOException error) {
            if (!kept) {
                throw error;
            }
        }
        close();
        connect();
        connection.write(request.array(), request.size());
        return connection.read(reply);
    }

    void connect() throws IOException {
        if (connection == null) {
            connection = new Connection(host, port);
        }
    }

    private byte[] get(String path) {
        return ("GET " + PREFIX + path + common + "\r\n").getBytes(StandardCharsets.UTF_8);
    }

    private byte[] head(String path, String contentType, String errorType, long length) {
        StringBuilder head = new StringBuilder(256);
        head.append("POST ").append(PREFIX).append(path).append(common);
        head.append("Content-Type: ").append(contentType).append("\r\n");
        if (errorType != null) {
            head.append("Lambda-Runtime-Function-Error-Type: ").append(errorType).append("\r\n");
        }
        head.append("Content-Length: ").append(length).append("\r\n\r\n");
        return head.toString().getBytes(StandardCharsets.UTF_8);
    }
}
