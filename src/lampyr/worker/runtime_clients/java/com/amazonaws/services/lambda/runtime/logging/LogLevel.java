package com.amazonaws.services.lambda.runtime.logging;

import java.util.Locale;

/** Ordered from the least: a message passes when its level is at or above the function's. */
public enum LogLevel {
    /** Of messages logged without a level, which are never left out. */
    UNDEFINED,
    TRACE,
    DEBUG,
    INFO,
    WARN,
    ERROR,
    FATAL;

    public static LogLevel fromString(String logLevel) {
        try {
            return valueOf(logLevel.toUpperCase(Locale.ROOT));
        } catch (RuntimeException error) {
            throw new IllegalArgumentException("Invalid log level: '" + logLevel
                    + "' expected one of [TRACE, DEBUG, INFO, WARN, ERROR, FATAL]");
        }
    }
}
