package lampyr.runtime;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads a class as the default settings of Jackson do: public getters and public fields are read,
 * setters of any visibility and public fields are set. Fields come first, which is what decides the
 * order of what is written.
 */
final class BeanMembers {
    private final Class<?> raw;
    private final Map<TypeVariable<?>, Type> bindings;
    private final Map<String, Property> properties = new LinkedHashMap<>();
    private final List<Field> fields = new ArrayList<>();
    private final Object[] components;

    BeanMembers(Type type) {
        raw = Generics.raw(type);
        bindings = Generics.bindings(type);
        components = components(raw);
        collectFields();
        if (components == null) {
            collectMethods();
        } else {
            collectComponents();
        }
    }

    Collection<Property> properties() {
        return properties.values();
    }

    /** The one without arguments, that of a record, or for AWS's events the one of all fields. */
    Constructor<?> constructor(boolean event) {
        if (raw.isInterface()) {
            return null;
        }
        if (components != null) {
            return recordConstructor();
        }
        try {
            return Property.open(raw.getDeclaredConstructor());
        } catch (NoSuchMethodException none) {
            return event ? positional() : null;
        }
    }

    /** Events of S3 have constructors only, whose parameters come in the order of their fields. */
    private Constructor<?> positional() {
        for (Constructor<?> constructor : raw.getConstructors()) {
            Type[] types = constructor.getGenericParameterTypes();
            if (types.length != fields.size()) {
                continue;
            }
            for (int index = 0; index < types.length; index++) {
                Property property = property(fields.get(index).getName());
                property.argument = index;
                property.type = Generics.resolve(types[index], bindings);
            }
            return constructor;
        }
        return null;
    }

    private void collectFields() {
        List<Class<?>> lineage = new ArrayList<>();
        for (Class<?> at = raw; at != null && at != Object.class; at = at.getSuperclass()) {
            lineage.add(at);
        }
        Collections.reverse(lineage);
        for (Class<?> at : lineage) {
            for (Field field : at.getDeclaredFields()) {
                int modifiers = field.getModifiers();
                if (Modifier.isStatic(modifiers) || Modifier.isTransient(modifiers) || field.isSynthetic()) {
                    continue;
                }
                fields.add(field);
                Property property = property(field.getName());
                if (Modifier.isPublic(modifiers)) {
                    property.field = Property.open(field);
                    property.type = Generics.resolve(field.getGenericType(), bindings);
                }
            }
        }
    }

    private void collectMethods() {
        for (Method method : raw.getMethods()) {
            if (method.getDeclaringClass() != Object.class && !method.isBridge()) {
                collectGetter(method);
            }
        }
        for (Class<?> at = raw; at != null && at != Object.class; at = at.getSuperclass()) {
            for (Method method : at.getDeclaredMethods()) {
                if (!method.isBridge() && !method.isSynthetic()) {
                    collectSetter(method);
                }
            }
        }
        if (raw.isInterface()) {
            return;
        }
        for (Method method : raw.getMethods()) {
            if (method.isDefault() && !method.isBridge()) {
                collectSetter(method);
            }
        }
    }

    private void collectGetter(Method method) {
        if (Modifier.isStatic(method.getModifiers()) || method.getParameterCount() != 0) {
            return;
        }
        String name = method.getName();
        Class<?> type = method.getReturnType();
        String found = null;
        if (name.startsWith("get") && type != void.class && !name.equals("getClass")) {
            found = decapitalize(name.substring(3));
        } else if (name.startsWith("is") && (type == boolean.class || type == Boolean.class)) {
            found = decapitalize(name.substring(2));
        }
        if (found == null || found.isEmpty()) {
            return;
        }
        Property property = property(found);
        boolean better = property.getter == null || name.startsWith("get")
                && property.getter.getName().startsWith("is")
                || property.getter.getReturnType().isAssignableFrom(type)
                && property.getter.getReturnType() != type;
        if (better) {
            property.getter = Property.open(method);
        }
    }

    private void collectSetter(Method method) {
        String name = method.getName();
        if (Modifier.isStatic(method.getModifiers()) || method.getParameterCount() != 1
                || !name.startsWith("set") || name.length() == 3) {
            return;
        }
        Property property = property(decapitalize(name.substring(3)));
        Type type = Generics.resolve(method.getGenericParameterTypes()[0], bindings);
        if (property.setter != null && !prefers(property, type)) {
            return;
        }
        property.setter = Property.open(method);
        property.type = type;
    }

    /** Of overloaded setters the one that takes what the getter gives. */
    private boolean prefers(Property property, Type type) {
        if (property.getter == null) {
            return false;
        }
        Class<?> given = property.getter.getReturnType();
        return Generics.raw(type) == given && Generics.raw(property.type) != given;
    }

    private Property property(String name) {
        Property property = properties.get(name);
        if (property == null) {
            property = new Property(name);
            properties.put(name, property);
        }
        return property;
    }

    /** As `java.beans` does it, without loading the desktop's module: getURL is URL, getName name. */
    static String decapitalize(String name) {
        boolean acronym = name.length() > 1
                && Character.isUpperCase(name.charAt(0)) && Character.isUpperCase(name.charAt(1));
        if (name.isEmpty() || acronym) {
            return name;
        }
        return Character.toLowerCase(name.charAt(0)) + name.substring(1);
    }

    private void collectComponents() {
        for (int index = 0; index < components.length; index++) {
            Object component = components[index];
            Property property = property((String) ask(component, "getName"));
            property.getter = Property.open((Method) ask(component, "getAccessor"));
            property.type = Generics.resolve((Type) ask(component, "getGenericType"), bindings);
            property.argument = index;
        }
    }

    private Constructor<?> recordConstructor() {
        Class<?>[] types = new Class<?>[components.length];
        for (int index = 0; index < types.length; index++) {
            types[index] = (Class<?>) ask(components[index], "getType");
        }
        try {
            return Property.open(raw.getDeclaredConstructor(types));
        } catch (NoSuchMethodException error) {
            throw new JsonException("record " + raw.getName() + " has no canonical constructor", error);
        }
    }

    /** The components of a record; null for other classes, and before Java 16, which has none. */
    private static Object[] components(Class<?> raw) {
        Class<?> parent = raw.getSuperclass();
        if (parent == null || !parent.getName().equals("java.lang.Record")) {
            return null;
        }
        return (Object[]) ask(raw, "getRecordComponents");
    }

    private static Object ask(Object of, String method) {
        try {
            return of.getClass().getMethod(method).invoke(of);
        } catch (ReflectiveOperationException error) {
            throw new JsonException("records cannot be read: " + error, error);
        }
    }
}
