package lampyr.runtime;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** Writes the pieces of JSON; commas and colons come by themselves. */
final class JsonWriter {
    private static final char[] HEX = "0123456789ABCDEF".toCharArray();
    private static final int DELETE = 0x7f;

    private final StringBuilder text = new StringBuilder(256);
    private int depth;
    private boolean comma;

    JsonWriter begin(char bracket) {
        separate();
        if (++depth > JsonReader.DEPTH_MAX) {
            throw new JsonException("nested deeper than " + JsonReader.DEPTH_MAX
                    + " levels: does the value contain itself?");
        }
        text.append(bracket);
        comma = false;
        return this;
    }

    JsonWriter end(char bracket) {
        depth--;
        text.append(bracket);
        comma = true;
        return this;
    }

    JsonWriter name(String name) {
        string(name);
        text.append(':');
        comma = false;
        return this;
    }

    /** A number or word that is JSON as it stands. */
    JsonWriter raw(String json) {
        separate();
        text.append(json);
        comma = true;
        return this;
    }

    JsonWriter string(String value) {
        separate();
        text.append('"');
        int plain = 0;
        int length = value.length();
        for (int index = 0; index < length; index++) {
            char next = value.charAt(index);
            if (next >= ' ' && next != '"' && next != '\\' && !loneSurrogate(value, index)) {
                continue;
            }
            text.append(value, plain, index);
            plain = index + 1;
            escape(next);
        }
        text.append(value, plain, length).append('"');
        comma = true;
        return this;
    }

    void copyTo(OutputStream output) throws IOException {
        output.write(text.toString().getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public String toString() {
        return text.toString();
    }

    private void separate() {
        if (comma) {
            text.append(',');
        }
    }

    private void escape(char next) {
        switch (next) {
            case '"':
            case '\\':
                text.append('\\').append(next);
                break;
            case '\n':
                text.append("\\n");
                break;
            case '\r':
                text.append("\\r");
                break;
            case '\t':
                text.append("\\t");
                break;
            case '\b':
                text.append("\\b");
                break;
            case '\f':
                text.append("\\f");
                break;
            default:
                text.append("\\u").append(HEX[next >> 12]).append(HEX[next >> 8 & 0xf])
                        .append(HEX[next >> 4 & 0xf]).append(HEX[next & 0xf]);
        }
    }

    /** Half a character has no UTF-8; written as an escape it survives. */
    private static boolean loneSurrogate(String value, int index) {
        char unit = value.charAt(index);
        if (unit <= DELETE || !Character.isSurrogate(unit)) {
            return false;
        }
        if (Character.isHighSurrogate(unit)) {
            return index + 1 == value.length() || !Character.isLowSurrogate(value.charAt(index + 1));
        }
        return index == 0 || !Character.isHighSurrogate(value.charAt(index - 1));
    }
}
