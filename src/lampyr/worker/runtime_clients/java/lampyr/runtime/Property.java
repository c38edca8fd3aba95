package lampyr.runtime;

import java.lang.reflect.AccessibleObject;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Type;

/** One property of a bean: how it is read, how it is set, and as what. */
final class Property {
    final String name;
    Method getter;
    Method setter;
    /** Only when public: others are reached through methods. */
    Field field;
    /** Of what is set; null when nothing can be. */
    Type type;
    /** Position in the constructor that takes it; -1 when it is set afterwards. */
    int argument = -1;

    Property(String name) {
        this.name = name;
    }

    boolean readable() {
        return getter != null || field != null;
    }

    boolean settable() {
        return setter != null || field != null || argument >= 0;
    }

    Object get(Object bean) {
        try {
            return getter != null ? getter.invoke(bean) : field.get(bean);
        } catch (InvocationTargetException error) {
            throw new JsonException(error.getCause() + " (of property \"" + name + "\")", error.getCause());
        } catch (IllegalAccessException error) {
            throw new JsonException("property \"" + name + "\" cannot be read", error);
        }
    }

    void set(Object bean, Object value) {
        try {
            if (setter != null) {
                setter.invoke(bean, value);
            } else {
                field.set(bean, value);
            }
        } catch (InvocationTargetException error) {
            throw new JsonException(error.getCause() + " (of property \"" + name + "\")", error.getCause());
        } catch (IllegalAccessException error) {
            throw new JsonException("property \"" + name + "\" cannot be set", error);
        }
    }

    /** Public members of classes that are not need this; the JDK's own classes refuse it. */
    static <T extends AccessibleObject> T open(T member) {
        try {
            member.setAccessible(true);
        } catch (RuntimeException refused) {
            return member;
        }
        return member;
    }
}
