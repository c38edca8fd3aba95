"""Recorded scenarios that no test replays, by the reason.

What is replayed meanwhile may stand here; what is not replayed must.
"""

from typing import Final

RUNTIMES: Final = "TestLambdaRuntimesCommon::test_"
SNAPSTART: Final = "TestLambdaSnapStart::test_snapstart_"

NOT_COVERED: Final[dict[str, tuple[str, ...]]] = {
    "Lampyr has no runtime of this language; its functions bring one on provided.al2023": (
        *(f"{RUNTIMES}introspection_invoke[{name}]" for name in ("dotnet6", "dotnet8")),
        *(f"{RUNTIMES}introspection_invoke[{name}]" for name in ("java11", "java21", "java25")),
        *(f"{RUNTIMES}introspection_invoke[{name}]" for name in ("ruby3.3", "ruby3.4")),
        *(f"{RUNTIMES}runtime_wrapper_invoke[{name}]" for name in ("dotnet10", "java11")),
        *(f"{RUNTIMES}runtime_wrapper_invoke[{name}]" for name in ("ruby3.2", "ruby3.4")),
        *(f"{RUNTIMES}uncaught_exception_invoke[{name}]" for name in ("java17", "java25")),
        f"{RUNTIMES}uncaught_exception_invoke[java8.al2]",
        *(f"{SNAPSTART}lifecycle[{name}]" for name in ("dotnet8", "java11", "java17", "java25")),
        f"{SNAPSTART}update_function_configuration[java11]",
    ),
    "the runtime has ended, and Lampyr has only what can still be created": (
        *(f"{RUNTIMES}introspection_invoke[{name}]" for name in ("python3.8", "python3.9")),
        f"{RUNTIMES}introspection_invoke[nodejs18.x]",
        *(f"{RUNTIMES}runtime_wrapper_invoke[{name}]" for name in ("python3.8", "nodejs16.x")),
    ),
    "VPCs are not served yet": ("TestLambdaFunction::test_vpc_config",),
    "function URLs are not served yet": (
        "TestLambdaURL::test_lambda_url_echo_http_fixture_default",
        "TestLambdaURL::test_lambda_url_echo_http_fixture_trim_x_headers",
        "TestLambdaURL::test_lambda_url_echo_invoke[None]",
        "TestLambdaURL::test_lambda_url_echo_invoke[RESPONSE_STREAM]",
        "TestLambdaURL::test_lambda_url_invalid_invoke_mode",
        "TestLambdaURL::test_lambda_url_invocation[boolean]",
        "TestLambdaURL::test_lambda_url_invocation[dict]",
        "TestLambdaURL::test_lambda_url_invocation[float]",
        "TestLambdaURL::test_lambda_url_invocation[http-response]",
        "TestLambdaURL::test_lambda_url_invocation[integer]",
        "TestLambdaURL::test_lambda_url_invocation[string]",
        "TestLambdaURL::test_lambda_url_invocation_exception",
        "TestRequestIdHandling::test_request_id_invoke_url",
        "TestLambdaFunction::test_ops_on_nonexisting_fn[get_function_url_config]",
        "TestLambdaFunction::test_get_function_wrong_region[get_function_url_config]",
        "TestLambdaUrl::test_url_config_exceptions",
        "TestLambdaUrl::test_url_config_lifecycle",
    ),
    "code signing and recursion are not served yet": (
        "TestCodeSigningConfig::test_function_code_signing_config",
        "TestLambdaFunction::test_get_function_wrong_region[get_function_code_signing_config]",
        "TestLambdaRecursion::test_put_function_recursion_config_invalid_value",
    ),
    "it asks another service, which these tests do not run": (
        "TestLambdaBaseFeatures::test_assume_role[2]",
        "TestLambdaBehavior::test_lambda_host_prefix_api_operation",
    ),
    "it waits for a schedule of Application Auto Scaling": (
        "TestLambdaConcurrency::test_lambda_provisioned_concurrency_scheduling",
    ),
    "it changes a function to an architecture that the host does not have": (
        "TestLambdaBehavior::test_mixed_architecture",
    ),
    "owners and modes of files in AWS's own image": (
        "TestLambdaBehavior::test_runtime_introspection_x86",
    ),
    "limits of AWS's own machine: Lampyr writes no core dumps, and documents its limits": (
        "TestLambdaBehavior::test_runtime_ulimits",
    ),
    "AWS let the crash run into the time-out; Lampyr says at once that the process ended": (
        "TestLambdaErrors::test_lambda_runtime_exit_segfault",
    ),
}
