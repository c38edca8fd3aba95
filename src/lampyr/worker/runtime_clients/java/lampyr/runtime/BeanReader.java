package lampyr.runtime;

import java.io.Serializable;
import java.lang.reflect.Array;
import java.lang.reflect.Executable;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;

/** Turns what {@link JsonReader} gives into the type that a handler takes. */
final class BeanReader {
    private BeanReader() {
    }

    static Object read(Object node, Type type) {
        return read(node, type, false);
    }

    private static Object read(Object node, Type type, boolean event) {
        Class<?> raw = Generics.raw(type);
        if (node == null) {
            return missing(raw);
        }
        if (raw == Object.class || raw == Serializable.class) {
            return untyped(node);
        }
        if (raw.isArray()) {
            return array(node, type, event);
        }
        if (Iterable.class.isAssignableFrom(raw) && (raw == Iterable.class || Collection.class.isAssignableFrom(raw))) {
            return collection(node, type, event);
        }
        if (Map.class.isAssignableFrom(raw)) {
            return map(node, type, event);
        }
        if (Times.isTime(raw) || !(node instanceof List)) {
            return single(node, type, event);
        }
        List<?> items = (List<?>) node;
        if (items.size() == 1) {
            return read(items.get(0), type, event);
        }
        if (items.isEmpty() && !raw.isPrimitive() && raw != String.class) {
            return null;
        }
        throw Scalars.mismatch(node, raw);
    }

    private static Object missing(Class<?> raw) {
        if (raw == Optional.class) {
            return Optional.empty();
        }
        if (raw == OptionalInt.class) {
            return OptionalInt.empty();
        }
        if (raw == OptionalLong.class) {
            return OptionalLong.empty();
        }
        if (raw == OptionalDouble.class) {
            return OptionalDouble.empty();
        }
        return Scalars.zero(raw);
    }

    private static Object single(Object node, Type type, boolean event) {
        Class<?> raw = Generics.raw(type);
        if (raw == String.class || raw == CharSequence.class) {
            return Scalars.text(node);
        }
        if (Scalars.isNumber(raw)) {
            return Scalars.numeric(node, raw);
        }
        if (raw == boolean.class || raw == Boolean.class) {
            return Scalars.truth(node, raw);
        }
        if (raw == char.class || raw == Character.class) {
            return Scalars.character(node, raw);
        }
        if (raw.isEnum()) {
            return Scalars.constant(node, raw);
        }
        if (raw == ByteBuffer.class) {
            return Scalars.byteBuffer(node);
        }
        if (raw == Void.class) {
            return null;
        }
        if (raw.getName().startsWith("java.util.Optional")) {
            return optional(node, type, raw, event);
        }
        if (Times.isTime(raw)) {
            Object time = Times.read(node, raw, event);
            if (time != null || !raw.getName().startsWith("java.time.")) {
                return time;
            }
        }
        return node instanceof Map ? bean((Map<?, ?>) node, type) : made(node, raw);
    }

    private static Object optional(Object node, Type type, Class<?> raw, boolean event) {
        if (raw == OptionalInt.class) {
            return OptionalInt.of((int) Scalars.numeric(node, int.class));
        }
        if (raw == OptionalLong.class) {
            return OptionalLong.of((long) Scalars.numeric(node, long.class));
        }
        if (raw == OptionalDouble.class) {
            return OptionalDouble.of((double) Scalars.numeric(node, double.class));
        }
        return Optional.ofNullable(read(node, Generics.argument(type, Optional.class, 0), event));
    }

    private static Object made(Object node, Class<?> raw) {
        if (!(node instanceof String)) {
            throw Scalars.mismatch(node, raw);
        }
        String text = (String) node;
        if (text.isEmpty()) {
            return null;
        }
        Executable factory = Scalars.factory(raw);
        if (factory == null) {
            throw Scalars.mismatch(node, raw);
        }
        return Scalars.made(factory, text, raw);
    }

    private static Object bean(Map<?, ?> node, Type type) {
        BeanShape shape = BeanShape.of(type);
        Object[] arguments = shape.arguments();
        for (Map.Entry<?, ?> member : node.entrySet()) {
            Property property = arguments.length == 0 ? null : shape.settable((String) member.getKey());
            if (property != null && property.argument >= 0) {
                arguments[property.argument] = member(member.getValue(), property, shape);
            }
        }
        Object bean = shape.create(arguments);
        for (Map.Entry<?, ?> member : node.entrySet()) {
            Property property = shape.settable((String) member.getKey());
            if (property != null && property.argument < 0) {
                property.set(bean, member(member.getValue(), property, shape));
            }
        }
        return bean;
    }

    /** A failure says where it was: the path grows from the inside out. */
    private static Object member(Object node, Property property, BeanShape shape) {
        try {
            return read(node, property.type, shape.event);
        } catch (JsonException error) {
            throw new JsonException(error.getMessage() + " (through " + shape.raw.getName()
                    + "[\"" + property.name + "\"])", error.getCause());
        }
    }

    private static Object array(Object node, Type type, boolean event) {
        Class<?> raw = Generics.raw(type);
        if (raw == byte[].class && !(node instanceof List)) {
            return Scalars.bytes(node, raw);
        }
        if (raw == char[].class && node instanceof String) {
            return ((String) node).toCharArray();
        }
        List<?> items = items(node);
        Type component = Generics.componentOf(type);
        Object array = Array.newInstance(raw.getComponentType(), items.size());
        for (int index = 0; index < items.size(); index++) {
            Array.set(array, index, read(items.get(index), component, event));
        }
        return array;
    }

    /** One value stands for a list of it, and an empty string for none, as AWS has it. */
    private static List<?> items(Object node) {
        return node instanceof List ? (List<?>) node : Collections.singletonList(node);
    }

    private static Object collection(Object node, Type type, boolean event) {
        if ("".equals(node)) {
            return null;
        }
        Type item = Generics.argument(type, Iterable.class, 0);
        Collection<Object> collection = Containers.collection(Generics.raw(type), Generics.raw(item));
        for (Object value : items(node)) {
            collection.add(read(value, item, event));
        }
        return collection;
    }

    private static Object map(Object node, Type type, boolean event) {
        Class<?> raw = Generics.raw(type);
        if ("".equals(node) || node instanceof List && ((List<?>) node).isEmpty()) {
            return null;
        }
        if (node instanceof List && ((List<?>) node).size() == 1) {
            return map(((List<?>) node).get(0), type, event);
        }
        if (!(node instanceof Map)) {
            throw Scalars.mismatch(node, raw);
        }
        Type key = Generics.argument(type, Map.class, 0);
        Type value = Generics.argument(type, Map.class, 1);
        if (value == Object.class && (key == Object.class || key == String.class)
                && raw.isAssignableFrom(LinkedHashMap.class)) {
            return untyped(node);
        }
        Map<Object, Object> map = Containers.map(raw, Generics.raw(key));
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) node).entrySet()) {
            Object name = key == Object.class ? entry.getKey() : read(entry.getKey(), key, event);
            map.put(name, read(entry.getValue(), value, event));
        }
        return map;
    }

    /** The parser's own maps and lists serve as they are, once their fractions are doubles. */
    @SuppressWarnings("unchecked")
    private static Object untyped(Object node) {
        if (node instanceof Decimal) {
            return ((Decimal) node).doubleValue();
        }
        if (node instanceof Map) {
            for (Map.Entry<String, Object> entry : ((Map<String, Object>) node).entrySet()) {
                entry.setValue(untyped(entry.getValue()));
            }
        } else if (node instanceof List) {
            List<Object> items = (List<Object>) node;
            for (int index = 0; index < items.size(); index++) {
                items.set(index, untyped(items.get(index)));
            }
        }
        return node;
    }
}
