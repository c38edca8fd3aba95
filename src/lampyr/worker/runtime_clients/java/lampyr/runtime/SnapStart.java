package lampyr.runtime;

import com.amazonaws.services.lambda.crac.Core;
import java.io.IOException;

/** The moment of the snapshot: the function's hooks on both sides, and the archive before it. */
final class SnapStart {
    private static final int CHECKPOINT_FAILED = 64;
    private static final int RESTORE_FAILED = 65;

    private SnapStart() {
    }

    static void passThrough(RuntimeApi api) throws IOException {
        try {
            Core.getGlobalContext().beforeCheckpoint(null);
        } catch (Throwable error) {
            Failure failure = told(error);
            api.initError("Runtime.BeforeCheckpointError", failure);
            System.exit(CHECKPOINT_FAILED);
        }
        Logs.flush();
        String archive = System.getenv("_LAMPYR_ARCHIVE");
        if (archive != null && !archive.isEmpty() && Runtime.version().feature() >= 17) {
            Archive.send(archive, api);
        }
        api.restoreNext();
        try {
            Core.getGlobalContext().afterRestore(null);
        } catch (Throwable error) {
            Failure failure = told(error);
            api.restoreError("Runtime.AfterRestoreError", failure);
            System.exit(RESTORE_FAILED);
        }
        Logs.flush();
    }

    private static Failure told(Throwable error) {
        Failure failure = Failure.of(error);
        Logs.flush();
        Logs.error(failure.report);
        return failure;
    }
}
