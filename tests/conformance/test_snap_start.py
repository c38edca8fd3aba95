"""SnapStart: a published version is initialised once, and its environments are restored."""

import time
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from tests.conformance.deployed import change, create, function, invoke, unique_name, zipped

PAGE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/snapstart"
RUNTIMES: Final = f"{PAGE}.html#snapstart-runtimes"
HOOKS: Final = f"{PAGE}-runtime-hooks-python.html"
MONITORING: Final = f"{PAGE}-monitoring.html"
RUNTIME: Final = "python3.12"
ON: Final = {"ApplyOn": "PublishedVersions"}
ENDED: Final = 60.0
TELLS: Final = """
import os, random, secrets, ssl, uuid
from snapshot_restore_py import register_after_restore, register_before_snapshot
ORDER = []
for number in (1, 2):
    register_before_snapshot(ORDER.append, f"before {number}")
    register_after_restore(ORDER.append, f"after {number}")
with open("/tmp/written", "w") as file:
    file.write("in init")
KEY = os.environ["AWS_ACCESS_KEY_ID"]
def handler(event, context):
    with open("/tmp/written") as file:
        written = file.read()
    return {
        "order": ORDER, "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "written": written,
        "group": os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME"), "key": KEY,
        "numbers": [random.random(), secrets.token_hex(), str(uuid.uuid4()),
                    ssl.RAND_bytes(9).hex()],
    }
"""


FAILS_BEFORE: Final = """
from snapshot_restore_py import register_before_snapshot
def handler(event, context): return 1
@register_before_snapshot
def fails(): raise KeyError("hook")
"""


def publish(client: Any, name: str) -> dict[str, Any]:
    """The version as it was answered, after it has come to its end."""
    answered: dict[str, Any] = client.publish_version(FunctionName=name)
    end = time.monotonic() + ENDED
    while shown(client, name, answered["Version"])["State"] == "Pending":
        assert time.monotonic() < end
        time.sleep(0.05)
    return answered


def shown(client: Any, name: str, version: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get_function_configuration(FunctionName=name, Qualifier=version)
    return found


@pytest.fixture(autouse=True)
def _needs(need: Any) -> None:
    need(RUNTIME)


@pytest.mark.documented(f"{PAGE}-activate.html")
def test_it_is_on_for_a_published_version_and_off_for_latest(lambda_client: Any) -> None:
    with function(lambda_client, TELLS, Runtime=RUNTIME) as name:
        change(lambda_client, name, SnapStart=ON)
        latest = lambda_client.get_function_configuration(FunctionName=name)
        assert latest["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
        answered = publish(lambda_client, name)
        assert (answered["State"], answered["StateReasonCode"]) == ("Pending", "Creating")
        assert answered["SnapStart"]["OptimizationStatus"] == "Off"
        version = shown(lambda_client, name, "1")
        assert version["State"] == "Active"
        assert version["SnapStart"] == {
            "ApplyOn": "PublishedVersions",
            "OptimizationStatus": "On",
        }
        assert invoke(lambda_client, name).payload["type"] == "on-demand"
        with pytest.raises(ClientError) as refused:
            lambda_client.put_provisioned_concurrency_config(
                FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1
            )
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"


@pytest.mark.documented(HOOKS)
def test_hooks_run_in_their_order_and_each_environment_is_its_own(lambda_client: Any) -> None:
    with function(lambda_client, TELLS, Runtime=RUNTIME, SnapStart=ON) as name:
        versions = [publish(lambda_client, name)["Version"]]
        change(lambda_client, name, Description="other")
        versions.append(publish(lambda_client, name)["Version"])
        answers = [
            invoke(lambda_client, name, Qualifier=number, LogType="Tail") for number in versions
        ]
        for answer in answers:
            assert answer.payload["order"] == ["before 2", "before 1", "after 1", "after 2"]
            assert answer.payload["type"] == "snap-start"
            assert answer.payload["written"] == "in init"
            assert answer.payload["group"] is None
            assert "Init Duration" not in answer.log
            assert "\tRestore Duration: " in answer.log
            assert "\tBilled Restore Duration: " in answer.log
        first, second = (answer.payload for answer in answers)
        assert first["key"] != second["key"]
        assert not set(first["numbers"]) & set(second["numbers"])
        again = invoke(lambda_client, name, Qualifier=versions[0], LogType="Tail")
        assert "Restore Duration" not in again.log
        assert again.payload["key"] == first["key"]


@pytest.mark.documented(f"{PAGE}-troubleshooting.html")
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('not today')", "ValueError: not today"),
        (
            FAILS_BEFORE,
            "KeyError: 'hook'",
        ),
    ],
)
def test_a_version_that_cannot_be_initialised_fails(
    lambda_client: Any, code: str, reason: str
) -> None:
    with function(lambda_client, code, Runtime=RUNTIME, SnapStart=ON) as name:
        publish(lambda_client, name)
        version = shown(lambda_client, name, "1")
        assert (version["State"], version["StateReason"]) == ("Failed", reason)
        assert version["StateReasonCode"] == "FunctionError.RuntimeInitError"
        assert version["SnapStart"]["OptimizationStatus"] == "Off"


@pytest.mark.documented(f"{PAGE}-troubleshooting.html")
def test_an_after_restore_hook_that_fails_is_told_to_the_caller(lambda_client: Any) -> None:
    code = """
from snapshot_restore_py import register_after_restore
def handler(event, context): return 1
@register_after_restore
def fails(): raise KeyError("hook")
"""
    with function(lambda_client, code, Runtime=RUNTIME, SnapStart=ON) as name:
        publish(lambda_client, name)
        for _ in range(2):
            with pytest.raises(ClientError) as refused:
                invoke(lambda_client, name, Qualifier="1")
            assert refused.value.response["Error"]["Code"] == "SnapStartException"


@pytest.mark.lampyr_only
def test_a_function_whose_init_leaves_a_thread_is_initialised_for_each_environment(
    lambda_client: Any,
) -> None:
    code = """
import os, threading
BEGUN = threading.Event()
threading.Thread(target=BEGUN.wait, daemon=True).start()
def handler(event, context):
    return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], threading.active_count()]
"""
    with function(lambda_client, code, Runtime=RUNTIME, SnapStart=ON) as name:
        publish(lambda_client, name)
        answer = invoke(lambda_client, name, Qualifier="1", LogType="Tail")
        assert answer.payload == ["snap-start", 2]
        assert "\tRestore Duration: " in answer.log


@pytest.mark.documented(RUNTIMES)
@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"Runtime": "python3.11"}, "python3.11 is not supported for SnapStart enabled functions."),
        (
            {"Runtime": "nodejs22.x"},
            "nodejs22.x is not supported for SnapStart enabled functions.",
        ),
        (
            {"Runtime": RUNTIME, "EphemeralStorage": {"Size": 513}},
            "SnapStart is not supported for functions with ephemeral storage greater than 512 MB.",
        ),
    ],
)
def test_what_cannot_have_it_is_refused(
    lambda_client: Any, configuration: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as refused:
        create(
            lambda_client,
            zipped({"app.py": TELLS}),
            FunctionName=unique_name("refused"),
            SnapStart=ON,
            **configuration,
        )
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("InvalidParameterValueException", message)
