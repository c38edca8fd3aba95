package lampyr.runtime;

import java.io.IOError;
import java.io.IOException;

/** Loads the handler and serves events until the process is ended. */
public final class Main {
    private static final String TRACE_PROPERTY = "com.amazonaws.xray.traceHeader";
    private static final int FAILED = 1;

    private final RuntimeApi api = new RuntimeApi(System.getenv("AWS_LAMBDA_RUNTIME_API"));
    private final Buffer response = new Buffer();
    private Handler handler;

    private Main() {
    }

    public static void main(String[] args) {
        // What users' `org.crac` reads to find who takes the snapshot.
        System.setProperty("org.crac.Core.Compat", "com.amazonaws.services.lambda.crac");
        Logs.takeOver();
        try {
            Main main = new Main();
            main.initialize();
            main.serve();
        } catch (IOException error) {
            Logs.flush();
            Logs.print("the runtime ends: " + error.getMessage() + "\n");
            System.exit(FAILED);
        }
        System.exit(0);
    }

    private void initialize() throws IOException {
        try {
            handler = HandlerLoader.load(System.getenv("_HANDLER"));
        } catch (Fault fault) {
            Failure failure = Failure.of(fault);
            Logs.flush();
            Logs.error(failure.report);
            api.initError(failure.type, failure);
            System.exit(FAILED);
        }
        Logs.flush();
        if ("snap-start".equals(System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"))) {
            SnapStart.passThrough(api);
        }
    }

    /** Returns when an error says that the process is not to go on. */
    private void serve() throws IOException {
        Invocation invocation = api.next();
        while (invocation != null) {
            Throwable error = handle(invocation);
            Logs.flush();
            if (error == null) {
                invocation = api.respondAndNext(invocation.requestId, response);
                continue;
            }
            Failure failure = Failure.of(error);
            Logs.error(failure.report);
            if (ends(error)) {
                api.fail(invocation.requestId, failure);
                return;
            }
            invocation = api.failAndNext(invocation.requestId, failure);
        }
    }

    private Throwable handle(Invocation invocation) {
        response.reset();
        try {
            if (invocation.traceId == null) {
                System.clearProperty(TRACE_PROPERTY);
            } else {
                System.setProperty(TRACE_PROPERTY, invocation.traceId);
            }
            LambdaContext context = new LambdaContext(invocation);
            Logs.begin(context);
            LogContext.set(invocation.requestId);
            handler.handle(invocation.event, response, context);
            return null;
        } catch (Throwable error) {
            return error;
        } finally {
            // A function's interruption of this thread must not reach the next event.
            Thread.interrupted();
        }
    }

    /** A machine that is out of memory or stack is not trusted further, as AWS does not. */
    private static boolean ends(Throwable error) {
        return error instanceof VirtualMachineError || error instanceof IOError
                || error instanceof Fault && ((Fault) error).fatal;
    }
}
