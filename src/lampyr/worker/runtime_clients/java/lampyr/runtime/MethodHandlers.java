package lampyr.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/** Handlers that are a public method of any class, named in the setting. */
final class MethodHandlers {

    private MethodHandlers() {
    }

    static Handler load(Class<?> type, String name) throws Exception {
        Method[] methods;
        try {
            methods = type.getMethods();
        } catch (NoClassDefFoundError error) {
            throw Fault.of("Error loading method " + name + " on class " + type.getName(), error, false);
        }
        List<Method> named = new ArrayList<>();
        for (Method method : methods) {
            if (method.getName().equals(name)) {
                named.add(method);
            }
        }
        named.sort(new Preference());
        for (Method method : named) {
            Handler handler = handler(type, method);
            if (handler != null) {
                return handler;
            }
        }
        throw Fault.of("No public method named " + name
                + " with appropriate method signature found on class " + type.getName());
    }

    /** Null, and a line on stderr, for a signature that AWS does not take. */
    private static Handler handler(Class<?> type, Method method) throws Exception {
        Map<TypeVariable<?>, Type> bindings = Generics.bindings(type);
        Type[] types = method.getGenericParameterTypes();
        for (int index = 0; index < types.length; index++) {
            types[index] = Generics.resolve(types[index], bindings);
        }
        boolean streams = types.length > 0 && (types[0] == InputStream.class || types[0] == OutputStream.class);
        boolean fits = streams ? fitsStreams(types) : fitsMapped(types);
        if (!fits) {
            System.err.println("Ignoring an overload of method " + method.getName()
                    + " because its parameters are not those of a handler");
            return null;
        }
        if (streams) {
            if (method.getReturnType() != void.class && method.getReturnType() != Void.class) {
                System.err.println("Will ignore return type " + method.getReturnType() + " on byte stream handler");
            }
            return new Streams(method, instance(type, method), types);
        }
        Type input = types.length > 0 && types[0] != Context.class ? types[0] : null;
        Type output = Generics.resolve(method.getGenericReturnType(), bindings);
        Mapping mapping = new Mapping(input, output);
        return new Mapped(method, instance(type, method), types, mapping);
    }

    private static Object instance(Class<?> type, Method method) throws Exception {
        Property.open(method);
        return Modifier.isStatic(method.getModifiers()) ? null : HandlerLoader.instance(type);
    }

    /** The input, the output or both in this order, and then perhaps the context. */
    private static boolean fitsStreams(Type[] types) {
        int at = types[0] == InputStream.class ? 1 : 0;
        if (at < types.length && types[at] == OutputStream.class) {
            at++;
        }
        if (at < types.length && types[at] == Context.class) {
            at++;
        }
        return at == types.length;
    }

    private static boolean fitsMapped(Type[] types) {
        return types.length < 2 || types.length == 2 && types[0] != Context.class && types[1] == Context.class;
    }

    private static void invoke(Method method, Object instance, Object[] arguments, Object[] result) throws Throwable {
        try {
            result[0] = method.invoke(instance, arguments);
        } catch (InvocationTargetException error) {
            throw error.getCause() == null ? error : error.getCause();
        }
    }

    /** Longer signatures first, and a context at the end counts double. */
    private static final class Preference implements Comparator<Method> {
        @Override
        public int compare(Method left, Method right) {
            if (left.isBridge() != right.isBridge()) {
                return left.isBridge() ? 1 : -1;
            }
            return Integer.compare(weight(right), weight(left));
        }

        private static int weight(Method method) {
            Class<?>[] types = method.getParameterTypes();
            boolean context = types.length > 0 && types[types.length - 1] == Context.class;
            return types.length + (context ? 1 : 0);
        }
    }

    private static final class Streams implements Handler {
        private final Method method;
        private final Object instance;
        private final Type[] types;

        Streams(Method method, Object instance, Type[] types) {
            this.method = method;
            this.instance = instance;
            this.types = types;
        }

        @Override
        public void handle(byte[] event, Buffer response, LambdaContext context) throws Throwable {
            Object[] arguments = new Object[types.length];
            boolean output = false;
            for (int index = 0; index < types.length; index++) {
                if (types[index] == InputStream.class) {
                    arguments[index] = new ByteArrayInputStream(event);
                } else if (types[index] == OutputStream.class) {
                    arguments[index] = response;
                    output = true;
                } else {
                    arguments[index] = context;
                }
            }
            invoke(method, instance, arguments, new Object[1]);
            if (!output) {
                response.write("null".getBytes(StandardCharsets.UTF_8));
            }
        }
    }

    private static final class Mapped implements Handler {
        private final Method method;
        private final Object instance;
        private final Type[] types;
        private final Mapping mapping;

        Mapped(Method method, Object instance, Type[] types, Mapping mapping) {
            this.method = method;
            this.instance = instance;
            this.types = types;
            this.mapping = mapping;
        }

        @Override
        public void handle(byte[] event, Buffer response, LambdaContext context) throws Throwable {
            Object input = mapping.read(event);
            Object[] arguments = new Object[types.length];
            for (int index = 0; index < types.length; index++) {
                arguments[index] = types[index] == Context.class ? context : input;
            }
            Object[] result = new Object[1];
            invoke(method, instance, arguments, result);
            mapping.write(result[0], response);
        }
    }
}
