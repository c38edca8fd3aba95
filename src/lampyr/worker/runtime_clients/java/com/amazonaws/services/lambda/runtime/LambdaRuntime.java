package com.amazonaws.services.lambda.runtime;

import lampyr.runtime.Logs;

/** Gives the logger to code that holds no {@link Context}: appenders of logging libraries. */
public final class LambdaRuntime {
    private LambdaRuntime() {
    }

    public static LambdaLogger getLogger() {
        return Logs.logger();
    }
}
