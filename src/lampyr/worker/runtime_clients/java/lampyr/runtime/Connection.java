package lampyr.runtime;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;

/** One kept connection to the Runtime API, and the little of HTTP that it needs. */
final class Connection {
    private static final int BUFFER_BYTES = 16 * 1024;

    private final Socket socket;
    private final InputStream input;
    private final OutputStream output;
    private byte[] buffer = new byte[BUFFER_BYTES];
    private int at;
    private int filled;

    Connection(String host, int port) throws IOException {
        socket = new Socket();
        socket.setTcpNoDelay(true);
        socket.connect(new InetSocketAddress(host, port));
        input = socket.getInputStream();
        output = socket.getOutputStream();
    }

    void close() {
        try {
            socket.close();
        } catch (IOException error) {
            // It is given up in any case.
        }
    }

    void write(byte[] bytes, int length) throws IOException {
        output.write(bytes, 0, length);
    }

    /** Reads one reply: its headers and body go into the invocation, its status is returned. */
    int read(Invocation into) throws IOException {
        String line = line();
        if (line.length() < 12 || !line.startsWith("HTTP/1.")) {
            throw new IOException("the Runtime API answered no HTTP: " + line);
        }
        int status = Integer.parseInt(line.substring(9, 12));
        int length = 0;
        for (line = line(); !line.isEmpty(); line = line()) {
            int colon = line.indexOf(':');
            if (colon <= 0) {
                throw new IOException("the Runtime API sent no header: " + line);
            }
            String name = line.substring(0, colon).toLowerCase(Locale.ROOT);
            String value = line.substring(colon + 1).trim();
            if (name.equals("content-length")) {
                length = Integer.parseInt(value);
            } else {
                into.header(name, value);
            }
        }
        into.event = body(length);
        return status;
    }

    private String line() throws IOException {
        int scan = at;
        while (true) {
            for (; scan < filled; scan++) {
                if (buffer[scan] == '\n') {
                    int end = scan > at && buffer[scan - 1] == '\r' ? scan - 1 : scan;
                    String line = new String(buffer, at, end - at, StandardCharsets.UTF_8);
                    at = scan + 1;
                    return line;
                }
            }
            int pending = filled - at;
            fill();
            scan = at + pending;
        }
    }

    private void fill() throws IOException {
        if (at > 0) {
            System.arraycopy(buffer, at, buffer, 0, filled - at);
            filled -= at;
            at = 0;
        }
        if (filled == buffer.length) {
            buffer = Arrays.copyOf(buffer, buffer.length * 2);
        }
        int count = input.read(buffer, filled, buffer.length - filled);
        if (count < 0) {
            throw new EOFException("the Runtime API closed the connection");
        }
        filled += count;
    }

    private byte[] body(int length) throws IOException {
        byte[] body = new byte[length];
        int have = Math.min(length, filled - at);
        System.arraycopy(buffer, at, body, 0, have);
        at += have;
        while (have < length) {
            int count = input.read(body, have, length - have);
            if (count < 0) {
                throw new EOFException("the Runtime API closed the connection");
            }
            have += count;
        }
        return body;
    }
}
