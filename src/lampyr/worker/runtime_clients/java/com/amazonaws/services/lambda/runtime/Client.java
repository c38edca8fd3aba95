package com.amazonaws.services.lambda.runtime;

/** The application that called, as the mobile SDKs describe it. */
public interface Client {
    String getInstallationId();

    String getAppTitle();

    String getAppVersionName();

    String getAppVersionCode();

    String getAppPackageName();
}
