package lampyr.runtime;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The properties of a bean and how one is made, found once per type. */
final class BeanShape {
    private static final Map<Type, BeanShape> KNOWN = new ConcurrentHashMap<>();
    private static final String[] EVENT_PACKAGES = {
        "com.amazonaws.services.lambda.runtime.events.",
        "com.amazonaws.services.s3.event.",
        "com.amazonaws.services.dynamodbv2.model.",
    };

    final Class<?> raw;
    /** Of AWS's libraries of events: names there need not be those of the JSON. */
    final boolean event;
    final List<Property> readable = new ArrayList<>();
    private final Map<String, Property> settable = new HashMap<>();
    private final Map<String, Property> folded = new HashMap<>();
    private final Constructor<?> constructor;

    static BeanShape of(Type type) {
        BeanShape known = KNOWN.get(type);
        if (known == null) {
            known = new BeanShape(type);
            KNOWN.put(type, known);
        }
        return known;
    }

    private BeanShape(Type type) {
        raw = Generics.raw(type);
        event = isEvent(raw.getName());
        BeanMembers members = new BeanMembers(type);
        constructor = members.constructor(event);
        for (Property property : members.properties()) {
            if (property.readable()) {
                readable.add(property);
            }
            if (property.settable()) {
                settable.put(property.name, property);
                if (event) {
                    folded.putIfAbsent(fold(property.name), property);
                }
            }
        }
    }

    private static boolean isEvent(String name) {
        for (String prefix : EVENT_PACKAGES) {
            if (name.startsWith(prefix)) {
                return true;
            }
        }
        return false;
    }

    /** The property that a name in JSON sets, or null. */
    Property settable(String name) {
        Property property = settable.get(name);
        if (property == null && event) {
            String key = fold(name);
            property = folded.get(key);
            if (property == null && key.startsWith("is")) {
                property = folded.get(key.substring(2));
            }
        }
        return property;
    }

    private static String fold(String name) {
        StringBuilder letters = new StringBuilder(name.length());
        for (int index = 0; index < name.length(); index++) {
            if (Character.isLetterOrDigit(name.charAt(index))) {
                letters.append(name.charAt(index));
            }
        }
        return letters.toString().toLowerCase(Locale.ROOT);
    }

    /** The arguments to fill for {@link #create}; those of primitive types are zero, not null. */
    Object[] arguments() {
        requireConstructor();
        Class<?>[] types = constructor.getParameterTypes();
        Object[] arguments = new Object[types.length];
        for (int index = 0; index < types.length; index++) {
            arguments[index] = Scalars.zero(types[index]);
        }
        return arguments;
    }

    Object create(Object[] arguments) {
        requireConstructor();
        try {
            return constructor.newInstance(arguments);
        } catch (InvocationTargetException error) {
            throw new JsonException("Cannot construct instance of `" + raw.getName() + "`, problem: "
                    + error.getCause().getMessage(), error.getCause());
        } catch (ReflectiveOperationException | IllegalArgumentException error) {
            throw new JsonException("Cannot construct instance of `" + raw.getName() + "`", error);
        }
    }

    private void requireConstructor() {
        if (constructor == null || Modifier.isAbstract(raw.getModifiers())) {
            throw new JsonException("Cannot construct instance of `" + raw.getName()
                    + "` (no Creators, like default constructor, exist)");
        }
    }
}
