package lampyr.runtime;

import java.lang.reflect.Modifier;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** Which collection an interface stands for. */
final class Containers {
    private static final Class<?>[] COLLECTIONS = {
        ArrayList.class, HashSet.class, TreeSet.class, LinkedList.class, ArrayDeque.class, CopyOnWriteArrayList.class,
    };
    private static final Class<?>[] MAPS = {
        LinkedHashMap.class, TreeMap.class, ConcurrentHashMap.class, ConcurrentSkipListMap.class,
    };

    private Containers() {
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    static Collection<Object> collection(Class<?> type, Class<?> item) {
        if (EnumSet.class.isAssignableFrom(type)) {
            return (Collection) EnumSet.noneOf((Class) item);
        }
        return (Collection<Object>) made(type, COLLECTIONS);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    static Map<Object, Object> map(Class<?> type, Class<?> key) {
        if (type == EnumMap.class) {
            return (Map) new EnumMap((Class) key);
        }
        return (Map<Object, Object>) made(type, MAPS);
    }

    private static Object made(Class<?> type, Class<?>[] choices) {
        Class<?> chosen = type;
        if (Modifier.isAbstract(type.getModifiers())) {
            for (Class<?> choice : choices) {
                if (type.isAssignableFrom(choice)) {
                    chosen = choice;
                    break;
                }
            }
        }
        try {
            return Property.open(chosen.getDeclaredConstructor()).newInstance();
        } catch (ReflectiveOperationException error) {
            throw new JsonException("Cannot construct instance of `" + type.getName()
                    + "` (no Creators, like default constructor, exist)", error);
        }
    }
}
