package lampyr.runtime;

import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** Single values: numbers, truth values, characters, enums, and all that is made from one string. */
final class Scalars {
    private static final Map<Class<?>, Executable> FACTORIES = new ConcurrentHashMap<>();
    private static final String[] FACTORY_NAMES = {"parse", "valueOf", "fromString", "of", "create", "forName"};

    private Scalars() {
    }

    /** What a missing value of the type is. */
    static Object zero(Class<?> type) {
        if (!type.isPrimitive()) {
            return null;
        }
        if (type == boolean.class) {
            return Boolean.FALSE;
        }
        return type == char.class ? (Object) '\0' : number(0, type);
    }

    static boolean isNumber(Class<?> type) {
        return type.isPrimitive() && type != boolean.class && type != char.class && type != void.class
                || Number.class.isAssignableFrom(type) && type.getName().startsWith("java.");
    }

    static Object text(Object node) {
        if (node instanceof Map || node instanceof Iterable) {
            throw mismatch(node, String.class);
        }
        return node.toString();
    }

    static Object truth(Object node, Class<?> type) {
        if (node instanceof Boolean) {
            return node;
        }
        if (node instanceof Number && !(node instanceof Decimal)) {
            return ((Number) node).longValue() != 0;
        }
        if (node instanceof String) {
            String text = ((String) node).trim();
            if (text.isEmpty()) {
                return zero(type);
            }
            if (text.equals("true") || text.equals("True") || text.equals("TRUE")) {
                return Boolean.TRUE;
            }
            if (text.equals("false") || text.equals("False") || text.equals("FALSE")) {
                return Boolean.FALSE;
            }
        }
        throw mismatch(node, type);
    }

    static Object character(Object node, Class<?> type) {
        if (node instanceof String && ((String) node).length() == 1) {
            return ((String) node).charAt(0);
        }
        if (node instanceof String && ((String) node).isEmpty()) {
            return zero(type);
        }
        if (node instanceof Integer && (Integer) node >= 0 && (Integer) node <= Character.MAX_VALUE) {
            return (char) (int) (Integer) node;
        }
        throw mismatch(node, type);
    }

    static Object numeric(Object node, Class<?> type) {
        if (node instanceof Number) {
            return number((Number) node, type);
        }
        if (node instanceof String) {
            String text = ((String) node).trim();
            if (text.isEmpty()) {
                return zero(type);
            }
            try {
                return number(new BigDecimal(text), type);
            } catch (NumberFormatException error) {
                return special(text, type);
            }
        }
        throw mismatch(node, type);
    }

    private static Object special(String text, Class<?> type) {
        boolean known = text.equals("NaN") || text.equals("Infinity") || text.equals("-Infinity");
        if (known && (type == double.class || type == Double.class)) {
            return Double.valueOf(text);
        }
        if (known && (type == float.class || type == Float.class)) {
            return Float.valueOf(text);
        }
        throw new JsonException("Cannot deserialize value of type `" + type.getName()
                + "` from String \"" + text + "\": not a valid representation");
    }

    private static Object number(Number value, Class<?> type) {
        if (type == double.class || type == Double.class) {
            return value.doubleValue();
        }
        if (type == float.class || type == Float.class) {
            return value.floatValue();
        }
        if (type == BigDecimal.class) {
            return decimal(value);
        }
        if (type == Number.class) {
            return value instanceof Decimal ? (Number) value.doubleValue() : value;
        }
        BigInteger whole = value instanceof Integer || value instanceof Long
                ? null : decimal(value).toBigInteger();
        if (type == BigInteger.class) {
            return whole == null ? BigInteger.valueOf(value.longValue()) : whole;
        }
        long small = whole == null ? value.longValue() : exact(whole, Long.MIN_VALUE, Long.MAX_VALUE, type);
        return integer(small, type);
    }

    private static Object integer(long value, Class<?> type) {
        if (type == long.class || type == Long.class) {
            return value;
        }
        if (type == int.class || type == Integer.class) {
            return (int) within(value, Integer.MIN_VALUE, Integer.MAX_VALUE, type);
        }
        if (type == short.class || type == Short.class) {
            return (short) within(value, Short.MIN_VALUE, Short.MAX_VALUE, type);
        }
        if (type == byte.class || type == Byte.class) {
            return (byte) within(value, Byte.MIN_VALUE, 255, type);
        }
        if (type == AtomicInteger.class) {
            return new AtomicInteger(
                    (int) within(value, Integer.MIN_VALUE, Integer.MAX_VALUE, type));
        }
        if (type == AtomicLong.class) {
            return new AtomicLong(value);
        }
        throw new JsonException("Cannot construct instance of `" + type.getName() + "` from a number");
    }

    private static BigDecimal decimal(Number value) {
        if (value instanceof Decimal) {
            return ((Decimal) value).exact();
        }
        return value instanceof BigDecimal ? (BigDecimal) value : new BigDecimal(value.toString());
    }

    private static long exact(BigInteger value, long least, long most, Class<?> type) {
        if (value.bitLength() >= Long.SIZE) {
            throw outOfRange(value, type);
        }
        return within(value.longValue(), least, most, type);
    }

    private static long within(long value, long least, long most, Class<?> type) {
        if (value < least || value > most) {
            throw outOfRange(value, type);
        }
        return value;
    }

    private static JsonException outOfRange(Object value, Class<?> type) {
        return new JsonException("Numeric value (" + value + ") out of range of " + type.getSimpleName());
    }

    /** An enum by name or ordinal; AWS reads an unknown name as null. */
    static Object constant(Object node, Class<?> type) {
        Object[] constants = type.getEnumConstants();
        if (node instanceof String) {
            for (Object constant : constants) {
                if (((Enum<?>) constant).name().equals(node)) {
                    return constant;
                }
            }
            return null;
        }
        if (node instanceof Integer) {
            int ordinal = (Integer) node;
            return ordinal >= 0 && ordinal < constants.length ? constants[ordinal] : null;
        }
        throw mismatch(node, type);
    }

    static byte[] bytes(Object node, Class<?> type) {
        if (!(node instanceof String)) {
            throw mismatch(node, type);
        }
        try {
            return Base64.getMimeDecoder().decode((String) node);
        } catch (IllegalArgumentException error) {
            throw new JsonException("Cannot decode base64 for `" + type.getName() + "`", error);
        }
    }

    static Object byteBuffer(Object node) {
        return ByteBuffer.wrap(bytes(node, ByteBuffer.class));
    }

    /** By a static method or a constructor that takes one string; null when the type has none. */
    static Executable factory(Class<?> type) {
        Executable known = FACTORIES.get(type);
        if (known != null) {
            return known;
        }
        for (String name : FACTORY_NAMES) {
            for (Class<?> taken : new Class<?>[] {CharSequence.class, String.class}) {
                known = factory(type, name, taken);
                if (known != null) {
                    FACTORIES.put(type, known);
                    return known;
                }
            }
        }
        try {
            known = Property.open(type.getConstructor(String.class));
            FACTORIES.put(type, known);
        } catch (NoSuchMethodException none) {
            return null;
        }
        return known;
    }

    private static Executable factory(Class<?> type, String name, Class<?> taken) {
        try {
            Method method = type.getMethod(name, taken);
            boolean makes = Modifier.isStatic(method.getModifiers()) && type.isAssignableFrom(method.getReturnType());
            return makes ? Property.open(method) : null;
        } catch (NoSuchMethodException none) {
            return null;
        }
    }

    static Object made(Executable factory, String text, Class<?> type) {
        try {
            return factory instanceof Constructor
                    ? ((Constructor<?>) factory).newInstance(text)
                    : ((Method) factory).invoke(null, text);
        } catch (InvocationTargetException error) {
            throw new JsonException("Cannot deserialize value of type `" + type.getName()
                    + "` from String \"" + text + "\": " + error.getCause().getMessage(), error.getCause());
        } catch (ReflectiveOperationException error) {
            throw new JsonException("Cannot construct instance of `" + type.getName() + "`", error);
        }
    }

    static JsonException mismatch(Object node, Class<?> type) {
        String kind = node instanceof Map ? "Object" : node instanceof Iterable ? "Array"
                : node instanceof String ? "String" : node instanceof Boolean ? "Boolean"
                : node instanceof Decimal ? "Floating-point" : "Integer";
        return new JsonException("Cannot deserialize value of type `" + type.getTypeName() + "` from "
                + kind + " value");
    }
}
