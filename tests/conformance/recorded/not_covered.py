"""Recorded scenarios that no test replays, by the reason.

What is replayed meanwhile may stand here; what is not replayed must.
"""

from typing import Final

RUNTIMES: Final = "TestLambdaRuntimesCommon::test_"
SNAPSTART: Final = "TestLambdaSnapStart::test_snapstart_"

NOT_COVERED: Final[dict[str, tuple[str, ...]]] = {
    "Lampyr has no runtime of this language; its functions bring one on provided.al2023": (
        *(f"{RUNTIMES}introspection_invoke[{name}]" for name in ("dotnet6", "dotnet8")),
        *(f"{RUNTIMES}introspection_invoke[{name}]" for name in ("ruby3.3", "ruby3.4")),
        f"{RUNTIMES}runtime_wrapper_invoke[dotnet10]",
        *(f"{RUNTIMES}runtime_wrapper_invoke[{name}]" for name in ("ruby3.2", "ruby3.4")),
        f"{RUNTIMES}uncaught_exception_invoke[java8.al2]",
        f"{SNAPSTART}lifecycle[dotnet8]",
    ),
    "the runtime has ended, and Lampyr has only what can still be created": (
        *(f"{RUNTIMES}introspection_invoke[{name}]" for name in ("python3.8", "python3.9")),
        f"{RUNTIMES}introspection_invoke[nodejs18.x]",
        *(f"{RUNTIMES}runtime_wrapper_invoke[{name}]" for name in ("python3.8", "nodejs16.x")),
    ),
    "records must be a minute old: tests/unit/sources/test_stream_poller.py lets that pass": tuple(
        f"TestKinesisSource::test_kinesis_maximum_record_age_exceeded{which}"
        for which in ("[expire-before-ingestion]", "_discard_records")
    ),
    "it took AWS tens of seconds; tests/contract/test_queue_sources.py shows the same": (
        "TestSQSEventSourceMapping::test_sqs_event_source_mapping_batching_reserved_concurrency",
        "test_report_batch_item_failures",
        "test_report_batch_item_failures_on_lambda_error",
    ),
    "VPCs are not served yet": ("TestLambdaFunction::test_vpc_config",),
    "calls of function URLs are not served yet": (
        "TestLambdaURL::test_lambda_url_echo_http_fixture_default",
        "TestLambdaURL::test_lambda_url_echo_http_fixture_trim_x_headers",
    ),
    "it asks another service, which these tests do not run": (
        "TestLambdaBaseFeatures::test_assume_role[2]",
        "TestLambdaBehavior::test_lambda_host_prefix_api_operation",
    ),
    "it changes a function to an architecture that the host does not have": (
        "TestLambdaBehavior::test_mixed_architecture",
    ),
    "owners of files in AWS's own image: the root of a Lampyr's host is nobody in a sandbox": (
        "TestLambdaBehavior::test_runtime_introspection_x86",
    ),
    "AWS let the crash run into the time-out; Lampyr says at once that the process ended": (
        "TestLambdaErrors::test_lambda_runtime_exit_segfault",
    ),
}
