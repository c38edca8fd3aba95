package lampyr.runtime;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Modifier;

/** Finds the handler that `_HANDLER` names. */
final class HandlerLoader {
    private HandlerLoader() {
    }

    /**
     * Throws a fatal {@link Fault} for what AWS counts as an error of initialization. Whatever else
     * is wrong becomes a handler that says so at every invocation.
     */
    static Handler load(String name) {
        int colons = name == null ? -1 : name.lastIndexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        String method = colons < 0 ? null : name.substring(colons + 2);
        if (className == null || className.isEmpty() || method != null && method.isEmpty()) {
            return new Faulty(Fault.of("Invalid handler: `" + name + "'"));
        }
        Class<?> type;
        try {
            type = Class.forName(className, true, Thread.currentThread().getContextClassLoader());
        } catch (ClassNotFoundException error) {
            return new Faulty(Fault.of("Class not found: " + className, error, false));
        } catch (NoClassDefFoundError error) {
            return new Faulty(unloadable(className, error));
        } catch (Throwable error) {
            throw unloadable(className, error);
        }
        try {
            return method == null ? InterfaceHandlers.load(type) : MethodHandlers.load(type, method);
        } catch (Fault fault) {
            if (fault.fatal) {
                throw fault;
            }
            return new Faulty(fault);
        } catch (Throwable error) {
            return new Faulty(Fault.of(Failure.message(error), error, false));
        }
    }

    private static Fault unloadable(String className, Throwable error) {
        String why = error.getMessage() == null ? "" : ": " + error.getMessage();
        return Fault.of("Error loading class " + className + why, error, true);
    }

    static Object instance(Class<?> type) throws Exception {
        Constructor<?> constructor;
        try {
            constructor = type.getConstructor();
        } catch (NoSuchMethodException error) {
            if (type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers())) {
                throw new Exception("Class " + type.getName()
                        + " cannot be instantiated because it is a non-static inner class");
            }
            throw new Exception("Class " + type.getName() + " has no public zero-argument constructor", error);
        }
        try {
            return constructor.newInstance();
        } catch (InvocationTargetException error) {
            Throwable cause = error.getCause() == null ? error : error.getCause();
            throw Fault.of(Failure.message(cause), cause, true);
        }
    }

    private static final class Faulty implements Handler {
        private final Fault fault;

        Faulty(Fault fault) {
            this.fault = fault;
        }

        @Override
        public void handle(byte[] event, Buffer response, LambdaContext context) {
            throw fault;
        }
    }
}
