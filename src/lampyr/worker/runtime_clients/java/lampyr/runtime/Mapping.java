package lampyr.runtime;

import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.ServiceLoader;

/** Between bytes and the types of a handler, by the function's own serializer if it brings one. */
final class Mapping {
    private static final byte[] NULL = "null".getBytes(StandardCharsets.UTF_8);

    private final Type input;
    private final Type output;
    private final CustomPojoSerializer custom;

    /** Either type may be null: no input is wanted, no output is given. */
    Mapping(Type input, Type output) {
        this.input = input;
        this.output = output == void.class || output == Void.class ? null : output;
        this.custom = input == null && this.output == null ? null : custom();
    }

    private static CustomPojoSerializer custom() {
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        // Without this look the loader of services would load its own classes, to find none.
        if (loader.getResource("META-INF/services/" + CustomPojoSerializer.class.getName()) == null) {
            return null;
        }
        Iterator<CustomPojoSerializer> found = ServiceLoader.load(CustomPojoSerializer.class, loader).iterator();
        CustomPojoSerializer serializer = found.hasNext() ? found.next() : null;
        if (found.hasNext()) {
            throw new IllegalStateException(
                    "Too many serializers provided inside the META-INF/services folder, only one is allowed");
        }
        return serializer;
    }

    Object read(byte[] event) {
        if (input == null) {
            return null;
        }
        try {
            return custom != null
                    ? custom.fromJson(new ByteArrayInputStream(event), input)
                    : BeanReader.read(JsonReader.parse(event), input);
        } catch (Throwable error) {
            Failure.cut(error);
            throw new RuntimeException("An error occurred during JSON parsing", error);
        }
    }

    void write(Object value, Buffer response) throws IOException {
        if (output == null) {
            response.write(NULL);
            return;
        }
        try {
            if (custom != null) {
                custom.toJson(value, response, output);
                return;
            }
            JsonWriter json = new JsonWriter();
            BeanWriter.write(value, output, json);
            json.copyTo(response);
        } catch (Throwable error) {
            response.reset();
            throw new RuntimeException("An error occurred during JSON serialization of response", error);
        }
    }
}
