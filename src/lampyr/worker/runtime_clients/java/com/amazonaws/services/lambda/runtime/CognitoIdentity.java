package com.amazonaws.services.lambda.runtime;

/** Who called, when Amazon Cognito vouches for the caller. */
public interface CognitoIdentity {
    String getIdentityId();

    String getIdentityPoolId();
}
