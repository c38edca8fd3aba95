package lampyr.runtime;

import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** The time in log lines; a class of its own, loaded by functions that log JSON only. */
final class Stamp {
    private static final DateTimeFormatter FORMAT = DateTimeFormatter
            .ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", Locale.ROOT).withZone(ZoneOffset.UTC);

    private Stamp() {
    }

    static String now() {
        return FORMAT.format(Instant.now());
    }
}
