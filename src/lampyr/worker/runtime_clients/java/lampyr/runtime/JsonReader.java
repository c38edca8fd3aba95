package lampyr.runtime;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads JSON straight from UTF-8 into maps, lists, strings, numbers and booleans. */
final class JsonReader {
    static final int DEPTH_MAX = 512;

    private static final int LONG_DIGITS = 18;

    private final byte[] data;
    private final int end;
    private int at;
    private int depth;

    private JsonReader(byte[] data, int length) {
        this.data = data;
        this.end = length;
    }

    static Object parse(byte[] data) {
        return parse(data, data.length);
    }

    static Object parse(byte[] data, int length) {
        JsonReader reader = new JsonReader(data, length);
        reader.space();
        if (reader.at == reader.end) {
            throw new JsonException("No content to map due to end-of-input");
        }
        Object value = reader.value();
        reader.space();
        if (reader.at != reader.end) {
            throw reader.unexpected();
        }
        return value;
    }

    private Object value() {
        if (at >= end) {
            throw unexpected();
        }
        switch (data[at]) {
            case '"':
                return string();
            case '{':
                return object();
            case '[':
                return array();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Object word(String word, Object value) {
        for (int index = 0; index < word.length(); index++, at++) {
            if (at >= end || data[at] != word.charAt(index)) {
                throw unexpected();
            }
        }
        return value;
    }

    private Map<String, Object> object() {
        enter();
        Map<String, Object> members = new LinkedHashMap<>();
        if (peekAfterSpace() != '}') {
            while (true) {
                if (peekAfterSpace() != '"') {
                    throw unexpected();
                }
                String name = string();
                if (peekAfterSpace() != ':') {
                    throw unexpected();
                }
                at++;
                space();
                members.put(name, value());
                if (peekAfterSpace() != ',') {
                    break;
                }
                at++;
            }
            if (peekAfterSpace() != '}') {
                throw unexpected();
            }
        }
        leave();
        return members;
    }

    private List<Object> array() {
        enter();
        List<Object> items = new ArrayList<>();
        if (peekAfterSpace() != ']') {
            while (true) {
                space();
                items.add(value());
                if (peekAfterSpace() != ',') {
                    break;
                }
                at++;
            }
            if (peekAfterSpace() != ']') {
                throw unexpected();
            }
        }
        leave();
        return items;
    }

    private void enter() {
        at++;
        if (++depth > DEPTH_MAX) {
            throw new JsonException("nested deeper than " + DEPTH_MAX + " levels");
        }
    }

    private void leave() {
        at++;
        depth--;
    }

    private String string() {
        int start = ++at;
        int bits = 0;
        while (at < end) {
            byte next = data[at];
            if (next == '"') {
                // A string without bytes over 127 is copied, not decoded.
                String text = new String(data, start, at - start,
                        bits < 0 ? StandardCharsets.UTF_8 : StandardCharsets.ISO_8859_1);
                at++;
                return text;
            }
            if (next == '\\') {
                return escaped(start);
            }
            if (next >= 0 && next < ' ') {
                throw unexpected();
            }
            bits |= next;
            at++;
        }
        throw unexpected();
    }

    private String escaped(int start) {
        StringBuilder text = new StringBuilder();
        int plain = start;
        while (at < end) {
            byte next = data[at];
            if (next == '"') {
                text.append(new String(data, plain, at - plain, StandardCharsets.UTF_8));
                at++;
                return text.toString();
            }
            if (next >= 0 && next < ' ') {
                throw unexpected();
            }
            if (next == '\\') {
                text.append(new String(data, plain, at - plain, StandardCharsets.UTF_8));
                at++;
                text.append(escape());
                plain = at;
            } else {
                at++;
            }
        }
        throw unexpected();
    }

    private char escape() {
        if (at >= end) {
            throw unexpected();
        }
        byte kind = data[at++];
        switch (kind) {
            case '"':
            case '\\':
            case '/':
                return (char) kind;
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'u':
                return unit();
            default:
                at--;
                throw unexpected();
        }
    }

    private char unit() {
        int unit = 0;
        for (int index = 0; index < 4; index++, at++) {
            int digit = at < end ? Character.digit((char) (data[at] & 0xff), 16) : -1;
            if (digit < 0) {
                throw unexpected();
            }
            unit = unit << 4 | digit;
        }
        return (char) unit;
    }

    private Number number() {
        int start = at;
        if (at < end && data[at] == '-') {
            at++;
        }
        int first = at;
        digits();
        if (data[first] == '0' && at - first > 1) {
            at = first + 1;
            throw unexpected();
        }
        boolean whole = true;
        if (at < end && data[at] == '.') {
            whole = false;
            at++;
            digits();
        }
        if (at < end && (data[at] == 'e' || data[at] == 'E')) {
            whole = false;
            at++;
            if (at < end && (data[at] == '+' || data[at] == '-')) {
                at++;
            }
            digits();
        }
        String text = new String(data, start, at - start, StandardCharsets.ISO_8859_1);
        return whole ? integer(text) : new Decimal(text);
    }

    private static Number integer(String text) {
        if (text.length() <= LONG_DIGITS) {
            return sized(Long.parseLong(text));
        }
        BigInteger big = new BigInteger(text);
        return big.bitLength() < Long.SIZE ? sized(big.longValue()) : big;
    }

    private static Number sized(long value) {
        if (value == (int) value) {
            return (int) value;
        }
        return value;
    }

    private void digits() {
        int start = at;
        while (at < end && data[at] >= '0' && data[at] <= '9') {
            at++;
        }
        if (at == start) {
            throw unexpected();
        }
    }

    private int peekAfterSpace() {
        space();
        return at < end ? data[at] : -1;
    }

    private void space() {
        while (at < end) {
            byte next = data[at];
            if (next != ' ' && next != '\n' && next != '\r' && next != '\t') {
                return;
            }
            at++;
        }
    }

    private JsonException unexpected() {
        if (at >= end) {
            return new JsonException("Unexpected end-of-input");
        }
        return new JsonException("Unexpected character (code " + (data[at] & 0xff) + ") at offset " + at);
    }
}
