package lampyr.runtime;

import com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal;
import java.lang.reflect.Method;

/** Tells Log4j the request's ID, for functions that log through AWS's appender. */
final class LogContext {
    private static Method put;
    private static boolean missing;

    private LogContext() {
    }

    static void set(String requestId) {
        if (!LambdaRuntimeInternal.getUseLog4jAppender() || missing) {
            return;
        }
        try {
            if (put == null) {
                put = find("org.apache.logging.log4j.ThreadContext", String.class);
            }
            if (put == null) {
                put = find("org.apache.log4j.MDC", Object.class);
            }
            if (put == null) {
                missing = true;
                System.err.println("Customer using log4j appender but unable to load either org.apache.log4j.MDC"
                        + " or org.apache.logging.log4j.ThreadContext."
                        + " Customer cannot see RequestId in log4j log lines.");
                return;
            }
            put.invoke(null, "AWSRequestId", requestId);
        } catch (ReflectiveOperationException error) {
            missing = true;
        }
    }

    private static Method find(String type, Class<?> value) {
        try {
            ClassLoader loader = Thread.currentThread().getContextClassLoader();
            return Class.forName(type, true, loader).getMethod("put", String.class, value);
        } catch (ReflectiveOperationException | LinkageError none) {
            return null;
        }
    }
}
