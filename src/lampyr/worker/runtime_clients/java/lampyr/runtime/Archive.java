package lampyr.runtime;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Map;
import javax.management.JMException;
import javax.management.ObjectName;

/**
 * The classes loaded so far as an archive for the processes to come: they map it instead of loading
 * and checking the classes again. Without it they start all the same, only later.
 */
final class Archive {
    private static final String BEAN = "com.sun.management:type=DiagnosticCommand";

    private Archive() {
    }

    static void send(String name, RuntimeApi api) {
        Path path = Paths.get(name);
        try {
            requireArchivesOnly();
            rehearse(api);
            dump(path);
            try (InputStream content = Files.newInputStream(path)) {
                api.archive(content, Files.size(path));
            }
        } catch (IOException | JMException | RuntimeException error) {
            api.close();
            System.err.println("no archive of classes was made: " + error);
        } finally {
            delete(path);
        }
    }

    /** The virtual machine would not refuse to archive classes of a directory: it would exit. */
    private static void requireArchivesOnly() throws IOException {
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            String[] content = new File(entry).list();
            if (content != null && content.length > 0) {
                throw new IOException("the class path has a directory that is not empty: " + entry);
            }
        }
    }

    /** Only classes that are loaded are archived: these an invocation needs in any case. */
    private static void rehearse(RuntimeApi api) throws IOException {
        api.connect();
        LambdaContext context = new LambdaContext(new Invocation());
        JsonWriter json = new JsonWriter();
        Object event = BeanReader.read(JsonReader.parse("{\"a\":[1,1.5]}".getBytes(UTF_8)), Map.class);
        BeanWriter.write(event, Map.class, json);
        json.copyTo(new Buffer());
        Failure.of(new JsonException(context.getAwsRequestId()));
    }

    /** From inside, because a second process that asked this one would need room of its own. */
    private static void dump(Path path) throws JMException, IOException {
        PrintStream out = System.out;
        Object answer;
        try {
            // The JDK prints where it has written to, which is no message of the function's.
            System.setOut(new PrintStream(OutputStream.nullOutputStream()));
            answer = ManagementFactory.getPlatformMBeanServer().invoke(
                    new ObjectName(BEAN), "vmCds",
                    new Object[] {new String[] {"dynamic_dump", path.toString()}},
                    new String[] {String[].class.getName()});
        } finally {
            System.setOut(out);
        }
        if (!Files.exists(path)) {
            throw new IOException(String.valueOf(answer).trim());
        }
    }

    private static void delete(Path path) {
        try {
            Files.deleteIfExists(path);
        } catch (IOException error) {
            System.err.println("the archive of classes was not deleted: " + error);
        }
    }
}
