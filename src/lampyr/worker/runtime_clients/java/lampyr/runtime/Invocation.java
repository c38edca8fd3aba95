package lampyr.runtime;

/** One event and what the headers of the Runtime API say of it. */
final class Invocation {
    String requestId = "";
    long deadlineMs;
    String functionArn;
    String traceId;
    String clientContext;
    String cognitoIdentity;
    String tenantId;
    byte[] event;

    /** Headers the client has no use for are dropped. */
    void header(String name, String value) {
        switch (name) {
            case "lambda-runtime-aws-request-id":
                requestId = value;
                break;
            case "lambda-runtime-deadline-ms":
                deadlineMs = Long.parseLong(value);
                break;
            case "lambda-runtime-invoked-function-arn":
                functionArn = value;
                break;
            case "lambda-runtime-trace-id":
                traceId = value.isEmpty() ? null : value;
                break;
            case "lambda-runtime-client-context":
                clientContext = value;
                break;
            case "lambda-runtime-cognito-identity":
                cognitoIdentity = value;
                break;
            case "lambda-runtime-aws-tenant-id":
                tenantId = value;
                break;
            default:
        }
    }
}
