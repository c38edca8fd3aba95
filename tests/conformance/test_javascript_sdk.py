"""The AWS SDK for JavaScript against a running Lampyr."""

import fcntl
import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from lampyr.testing.server import KEY, REGION, LampyrServer
from tests.conformance.deployed import PYTHON, ROLE, create, unique_name, zipped

pytestmark = pytest.mark.documented(
    "https://docs.aws.amazon.com/AWSJavaScriptSDK/v3/latest/client/lambda/"
)
HERE: Final = Path(__file__).parent / "js"
NODE_RELEASE_MIN: Final = 20
CODE: Final = """
class Broken(Exception):
    pass
def handler(event, context):
    print("seen", event)
    if event.get("fail"):
        raise Broken("as told")
    return {"event": event, "custom": context.client_context and context.client_context.custom}
"""
Calls = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def sdk() -> None:
    """The SDK beside `calls.mjs`, from the package registry, as the lock says."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not on this host")
    version = _run([node, "-p", "process.versions.node"]).stdout
    if int(version.partition(".")[0] or 0) < NODE_RELEASE_MIN:
        pytest.skip(f"the SDK needs Node.js {NODE_RELEASE_MIN}, and this is {version}")
    lock = (HERE / "package-lock.json").read_text()
    marker = HERE / "node_modules" / ".lampyr-installed"
    # Held while npm writes: tests of two processes share the directory.
    with (HERE / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not marker.exists() or marker.read_text() != lock:
            words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = _run(words)
            if done.returncode != 0:
                pytest.skip(f"npm cannot install the SDK: {done.stderr.strip()[-300:]}")
            marker.write_text(lock)


@pytest.fixture
def calls(sdk: None, lampyr_server: LampyrServer) -> Calls:
    """Make calls, one after the other, and say what came of each."""

    def run(*made: dict[str, Any]) -> list[Any]:
        client = {
            "endpoint": lampyr_server.endpoint_url,
            "region": REGION,
            "credentials": {"accessKeyId": KEY, "secretAccessKey": KEY},
        }
        document = json.dumps({"client": client, "calls": made}, default=_bytes)
        done = _run(["node", "calls.mjs"], document)
        assert done.returncode == 0, done.stderr
        return [_shown(each) for each in json.loads(done.stdout)]

    return run


def _run(words: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=HERE, input=text, capture_output=True, text=True, check=False, timeout=110
    )


def _bytes(value: bytes) -> dict[str, str]:
    return {"$bytes": b64encode(value).decode()}


def _shown(outcome: dict[str, Any]) -> dict[str, Any]:
    output = outcome.get("output") or {}
    if output.get("Payload"):
        raw = b64decode(output["Payload"]["$bytes"])
        output["Payload"] = json.loads(raw) if raw else None
    return outcome


def called(operation: str, **members: Any) -> dict[str, Any]:
    return {"call": operation, "input": members}


def test_a_function_from_creation_to_deletion(calls: Calls) -> None:
    name = unique_name("js")
    named = {"FunctionName": name}
    context = b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    made, waited, invoked, dry, failed, updated, again, published, first, gone = calls(
        called(
            "CreateFunction",
            **named,
            Runtime=PYTHON,
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": zipped({"app.py": CODE})},
            Tags={"a": "b"},
        ),
        {"wait": "FunctionActiveV2", "input": named},
        called("Invoke", **named, Payload=b'{"a": 1}', LogType="Tail", ClientContext=context),
        called("Invoke", **named, InvocationType="DryRun"),
        called("Invoke", **named, Payload=b'{"fail": true}'),
        called("UpdateFunctionConfiguration", **named, MemorySize=256),
        {"wait": "FunctionUpdatedV2", "input": named},
        called("PublishVersion", **named),
        called("Invoke", **named, Qualifier="1", Payload=b"{}"),
        called("DeleteFunction", **named),
    )
    assert made["output"]["State"] == "Pending"
    assert made["output"]["$metadata"]["httpStatusCode"] == 201
    assert waited["output"]["state"] == again["output"]["state"] == "SUCCESS"
    output = invoked["output"]
    assert (output["StatusCode"], output["ExecutedVersion"]) == (200, "$LATEST")
    assert output["Payload"] == {"event": {"a": 1}, "custom": {"k": "v"}}
    assert "FunctionError" not in output
    assert "seen {'a': 1}" in b64decode(output["LogResult"]).decode()
    assert output["$metadata"]["requestId"] in b64decode(output["LogResult"]).decode()
    assert dry["output"]["StatusCode"] == 204
    assert failed["output"]["FunctionError"] == "Unhandled"
    assert failed["output"]["Payload"]["errorType"] == "Broken"
    assert (updated["output"]["MemorySize"], published["output"]["Version"]) == (256, "1")
    assert first["output"]["ExecutedVersion"] == "1"
    assert gone["output"]["$metadata"]["httpStatusCode"] in (200, 204)


def test_errors_are_of_the_sdks_own_classes(calls: Calls, lambda_client: Any) -> None:
    name = create(lambda_client, CODE)
    named = {"FunctionName": name}
    arn = "arn:aws:lambda:us-east-1:000000000000:function:nothing"
    missing, taken, wrong, stale, large, garbled, unserved = (
        outcome["error"]
        for outcome in calls(
            called("Invoke", FunctionName="nothing"),
            called(
                "CreateFunction",
                **named,
                Runtime=PYTHON,
                Role=ROLE,
                Handler="app.handler",
                Code={"ZipFile": zipped({"app.py": CODE})},
            ),
            called("UpdateFunctionConfiguration", **named, Timeout=901),
            called("PublishVersion", **named, RevisionId="00000000-0000-0000-0000-000000000000"),
            called("Invoke", **named, Payload=json.dumps("x" * 7_000_000).encode()),
            called("Invoke", **named, Payload=b"{nonsense"),
            called("ListCapacityProviders"),
        )
    )
    seen = [
        (error["name"], error["httpStatusCode"])
        for error in (missing, taken, wrong, stale, garbled, unserved)
    ]
    assert seen == [
        ("ResourceNotFoundException", 404),
        ("ResourceConflictException", 409),
        ("InvalidParameterValueException", 400),
        ("PreconditionFailedException", 412),
        ("InvalidRequestContentException", 400),
        ("ServiceException", 501),
    ]
    assert large["httpStatusCode"] == 413
    for error in (missing, taken, wrong, stale, garbled, unserved):
        assert error["known"], f"{error['name']} is not the class that the SDK has for it"
        assert error["requestId"]
    assert missing["message"] == f"Function not found: {arn}:$LATEST"
    assert (missing["Type"], missing["fault"]) == ("User", "client")
    assert unserved["fault"] == "server"
    lambda_client.delete_function(FunctionName=name)


def test_pages_and_tags(calls: Calls, lambda_client: Any) -> None:
    word = unique_name("jspage")
    names = [create(lambda_client, CODE, FunctionName=f"{word}-{letter}") for letter in "abc"]
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{names[0]}"
    listed, _, _, tags = calls(
        {"paginate": "ListFunctions", "pageSize": 2, "input": {}},
        called("TagResource", Resource=arn, Tags={"a": "b", "ü/x": "y z"}),
        called("UntagResource", Resource=arn, TagKeys=["a", "c d"]),
        called("ListTags", Resource=arn),
    )
    pages = listed["pages"]
    assert all(len(page["Functions"]) <= 2 for page in pages)
    found = [each["FunctionName"] for page in pages for each in page["Functions"]]
    assert [each for each in found if each.startswith(word)] == names
    assert tags["output"]["Tags"] == {"ü/x": "y z"}
    for name in names:
        lambda_client.delete_function(FunctionName=name)
