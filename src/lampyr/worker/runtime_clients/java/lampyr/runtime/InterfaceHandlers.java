package lampyr.runtime;

import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.Map;

/** Handlers that implement one of the two interfaces. */
final class InterfaceHandlers {
    private InterfaceHandlers() {
    }

    static Handler load(Class<?> type) throws Exception {
        // A class may implement both; the stream is what AWS takes then.
        if (RequestStreamHandler.class.isAssignableFrom(type)) {
            return new Stream((RequestStreamHandler) HandlerLoader.instance(type));
        }
        if (RequestHandler.class.isAssignableFrom(type)) {
            Type[] types = types(type);
            Mapping mapping = new Mapping(types[0], types[1]);
            return new Mapped((RequestHandler<?, ?>) HandlerLoader.instance(type), mapping);
        }
        throw Fault.of("Class does not implement an appropriate handler interface: " + type.getName());
    }

    private static Type[] types(Class<?> type) {
        Map<TypeVariable<?>, Type> bindings = Generics.bindings(type);
        TypeVariable<?>[] variables = RequestHandler.class.getTypeParameters();
        Type[] types = new Type[variables.length];
        for (int index = 0; index < types.length; index++) {
            types[index] = bindings.get(variables[index]);
            if (types[index] == null) {
                throw Fault.of("Class " + type.getName()
                        + " does not implement RequestHandler with concrete type parameters");
            }
            if (types[index] instanceof TypeVariable && Generics.raw(types[index]) == Object.class) {
                throw Fault.of("Class " + type.getName() + " does not implement RequestHandler with"
                        + " concrete type parameters: parameter " + types[index] + " has no upper bound.");
            }
        }
        return types;
    }

    private static final class Stream implements Handler {
        private final RequestStreamHandler handler;

        Stream(RequestStreamHandler handler) {
            this.handler = handler;
        }

        @Override
        public void handle(byte[] event, Buffer response, LambdaContext context) throws Throwable {
            handler.handleRequest(new ByteArrayInputStream(event), response, context);
        }
    }

    private static final class Mapped implements Handler {
        private final RequestHandler<Object, Object> handler;
        private final Mapping mapping;

        @SuppressWarnings("unchecked")
        Mapped(RequestHandler<?, ?> handler, Mapping mapping) {
            this.handler = (RequestHandler<Object, Object>) handler;
            this.mapping = mapping;
        }

        @Override
        public void handle(byte[] event, Buffer response, LambdaContext context) throws Throwable {
            mapping.write(handler.handleRequest(mapping.read(event), context), response);
        }
    }
}
