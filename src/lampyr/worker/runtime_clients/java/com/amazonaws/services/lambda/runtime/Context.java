package com.amazonaws.services.lambda.runtime;

/** What a handler can ask about its invocation; named as functions written for AWS know it. */
public interface Context {
    String getAwsRequestId();

    String getLogGroupName();

    String getLogStreamName();

    String getFunctionName();

    String getFunctionVersion();

    String getInvokedFunctionArn();

    /** Null unless the caller came through Amazon Cognito. */
    CognitoIdentity getIdentity();

    /** Null unless the caller sent one. */
    ClientContext getClientContext();

    int getRemainingTimeInMillis();

    int getMemoryLimitInMB();

    LambdaLogger getLogger();

    /** A default, so that functions' own implementations for tests go on compiling and loading. */
    default String getTenantId() {
        return null;
    }

    /** A default for the same reason. */
    default String getXrayTraceId() {
        return null;
    }
}
