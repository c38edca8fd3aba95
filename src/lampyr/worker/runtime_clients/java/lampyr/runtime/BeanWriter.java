package lampyr.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/** Writes what a handler returns. Properties that are null are left out, as AWS has it. */
final class BeanWriter {
    private final JsonWriter json;

    private BeanWriter(JsonWriter json) {
        this.json = json;
    }

    /** Of a bean the properties of its declared type are written, whatever more the object has. */
    static void write(Object value, Type declared, JsonWriter json) {
        BeanWriter writer = new BeanWriter(json);
        Class<?> raw = Generics.raw(declared);
        boolean narrowed = value != null && raw != Object.class && raw != value.getClass()
                && !raw.isPrimitive() && !raw.getName().startsWith("java.") && !raw.isEnum()
                && !(value instanceof Map) && !(value instanceof Iterable);
        if (narrowed) {
            writer.bean(value, BeanShape.of(declared));
        } else {
            writer.value(value);
        }
    }

    private void value(Object value) {
        if (value == null) {
            json.raw("null");
        } else if (value instanceof CharSequence || value instanceof Character) {
            json.string(value.toString());
        } else if (value instanceof Boolean || value instanceof AtomicBoolean) {
            json.raw(value.toString());
        } else if (value instanceof Number && value.getClass().getName().startsWith("java.")) {
            number((Number) value);
        } else if (value instanceof Map) {
            map((Map<?, ?>) value);
        } else if (value instanceof Enum) {
            json.string(((Enum<?>) value).name());
        } else if (value.getClass().isArray()) {
            array(value);
        } else if (value instanceof Iterator) {
            items((Iterator<?>) value);
        } else if (value instanceof Iterable && !(value instanceof Path)) {
            items(((Iterable<?>) value).iterator());
        } else {
            other(value);
        }
    }

    private void other(Object value) {
        String name = value.getClass().getName();
        if (Times.isTime(value.getClass())) {
            Times.write(value, json);
        } else if (value instanceof Optional) {
            value(((Optional<?>) value).orElse(null));
        } else if (value instanceof OptionalInt) {
            value(((OptionalInt) value).isPresent() ? ((OptionalInt) value).getAsInt() : null);
        } else if (value instanceof OptionalLong) {
            value(((OptionalLong) value).isPresent() ? ((OptionalLong) value).getAsLong() : null);
        } else if (value instanceof OptionalDouble) {
            value(((OptionalDouble) value).isPresent() ? ((OptionalDouble) value).getAsDouble() : null);
        } else if (value instanceof AtomicReference) {
            value(((AtomicReference<?>) value).get());
        } else if (value instanceof ByteBuffer) {
            ByteBuffer view = ((ByteBuffer) value).duplicate();
            byte[] bytes = new byte[view.remaining()];
            view.get(bytes);
            json.string(Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof Class) {
            json.string(((Class<?>) value).getName());
        } else if (name.startsWith("org.joda.time.") || textual(name)) {
            json.string(value.toString());
        } else {
            bean(value, BeanShape.of(value.getClass()));
        }
    }

    /** Values of the JDK that are one string. */
    private static boolean textual(String name) {
        switch (name) {
            case "java.util.UUID":
            case "java.util.Locale":
            case "java.util.Currency":
            case "java.util.regex.Pattern":
            case "java.net.URI":
            case "java.net.URL":
            case "java.io.File":
                return true;
            default:
                return name.startsWith("sun.nio.fs.") || name.startsWith("sun.util.calendar.");
        }
    }

    private void number(Number value) {
        double real = value instanceof Double || value instanceof Float ? value.doubleValue() : 0;
        if (Double.isNaN(real) || Double.isInfinite(real)) {
            json.string(value.toString());
        } else {
            json.raw(value.toString());
        }
    }

    private void map(Map<?, ?> map) {
        json.begin('{');
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            if (entry.getKey() == null) {
                throw new JsonException("Null key for a Map not allowed in JSON");
            }
            if (entry.getValue() != null) {
                Object key = entry.getKey();
                json.name(key instanceof Enum ? ((Enum<?>) key).name() : key.toString());
                value(entry.getValue());
            }
        }
        json.end('}');
    }

    private void array(Object array) {
        if (array instanceof byte[]) {
            json.string(Base64.getEncoder().encodeToString((byte[]) array));
        } else if (array instanceof char[]) {
            json.string(new String((char[]) array));
        } else {
            json.begin('[');
            int length = Array.getLength(array);
            for (int index = 0; index < length; index++) {
                value(Array.get(array, index));
            }
            json.end(']');
        }
    }

    private void items(Iterator<?> items) {
        json.begin('[');
        while (items.hasNext()) {
            value(items.next());
        }
        json.end(']');
    }

    private void bean(Object bean, BeanShape shape) {
        json.begin('{');
        for (Property property : shape.readable) {
            Object value = property.get(bean);
            if (value != null) {
                json.name(property.name);
                value(value);
            }
        }
        json.end('}');
    }
}
