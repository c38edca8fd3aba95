"""The AWS command line against a running Lampyr, as people type it."""

import hashlib
import json
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import PYTHON, ROLE, create, function, unique_name, zipped

AWS: Final = Path(sys.executable).with_name("aws")
pytestmark = [
    pytest.mark.documented("https://docs.aws.amazon.com/cli/latest/reference/lambda/"),
    pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not in this environment"),
]
CODE: Final = """
def handler(event, context):
    print("seen", event)
    return {"version": VERSION, "event": event}
"""
Aws = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def aws(lampyr_server: LampyrServer, tmp_path: Path) -> Aws:
    """Run `aws lambda …` in an empty directory."""
    environment = lampyr_server.client_environment()
    del environment["AWS_ENDPOINT_URL"]
    environment |= {"HOME": str(tmp_path), "AWS_PAGER": "", "PYTHONWARNINGS": ""}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(AWS), "lambda", *words, "--endpoint-url", lampyr_server.endpoint_url],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            timeout=60,
        )

    return run


@pytest.fixture
def name(lambda_client: Any, tmp_path: Path) -> Iterator[str]:
    """An active function, and the files `one.zip`, which it has, and `two.zip`."""
    packages(tmp_path)
    tags = {"team": "blue", "stage": "test"}
    package = (tmp_path / "one.zip").read_bytes()
    with function(lambda_client, package, FunctionName=unique_name("cli"), Tags=tags) as made:
        yield made


def packages(directory: Path) -> None:
    for number, file in ((1, "one.zip"), (2, "two.zip")):
        code = CODE.replace("VERSION", str(number))
        (directory / file).write_bytes(zipped({"app.py": code}))


def creation(name: str) -> list[str]:
    words = f"create-function --function-name {name} --runtime {PYTHON} --role {ROLE}"
    return [*words.split(), "--handler", "app.handler", "--zip-file", "fileb://one.zip"]


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """The document that the CLI printed; None when it printed nothing."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_a_function_from_creation_to_deletion(aws: Aws, tmp_path: Path) -> None:
    packages(tmp_path)
    name = unique_name("cli")
    assert told(aws(*creation(name)))["State"] == "Pending"
    assert told(aws("wait", "function-active-v2", "--function-name", name)) is None
    # Version 1 of the CLI takes a payload as it is typed; it has no --cli-binary-format.
    words = ("invoke", "--function-name", name, "--payload", '{"a": "ü"}', "--log-type", "Tail")
    said = told(aws(*words, "out.json"))
    assert (said["StatusCode"], said["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads((tmp_path / "out.json").read_text()) == {"version": 1, "event": {"a": "ü"}}
    log = b64decode(said["LogResult"]).decode()
    assert "seen {'a': 'ü'}\n" in log
    assert "REPORT RequestId: " in log
    told(aws("delete-function", "--function-name", name))
    assert "ResourceNotFoundException" in aws("get-function", "--function-name", name).stderr


def test_code_and_configuration_are_updated_and_published(
    aws: Aws, name: str, tmp_path: Path
) -> None:
    two = (tmp_path / "two.zip").read_bytes()
    code = told(
        aws("update-function-code", "--function-name", name, "--zip-file", "fileb://two.zip")
    )
    assert code["CodeSha256"] == b64encode(hashlib.sha256(two).digest()).decode()
    assert code["LastUpdateStatus"] == "InProgress"
    told(aws("wait", "function-updated-v2", "--function-name", name))
    words = ("--memory-size", "256", "--environment", "Variables={KEY=value,OTHER=x}")
    told(aws("update-function-configuration", "--function-name", name, *words))
    told(aws("wait", "function-updated", "--function-name", name))
    told(aws("publish-version", "--function-name", name, "--description", "the first"))
    told(aws("wait", "published-version-active", "--function-name", name, "--qualifier", "1"))
    listed = told(aws("list-versions-by-function", "--function-name", name))["Versions"]
    assert [version["Version"] for version in listed] == ["$LATEST", "1"]
    assert listed[1]["Description"] == "the first"
    found = told(aws("get-function", "--function-name", name, "--qualifier", "1"))
    configuration = found["Configuration"]
    assert configuration["MemorySize"] == 256
    assert configuration["Environment"] == {"Variables": {"KEY": "value", "OTHER": "x"}}
    with urlopen(found["Code"]["Location"], timeout=10) as download:
        assert download.read() == two
    said = told(aws("invoke", "--function-name", f"{name}:1", "out.json"))
    assert said["ExecutedVersion"] == "1"
    assert json.loads((tmp_path / "out.json").read_text())["version"] == 2


def test_lists_are_read_page_by_page(aws: Aws, lambda_client: Any, name: str) -> None:
    others = [f"{name}-{letter}" for letter in "abc"]
    for other in others:
        create(lambda_client, "def handler(event, context): pass", FunctionName=other)
    words = ("list-functions", "--page-size", "2")
    query = ("--query", f"Functions[?starts_with(FunctionName, '{name}')].FunctionName")
    assert told(aws(*words, *query)) == [name, *others]
    first = told(aws("list-functions", "--max-items", "1"))
    assert len(first["Functions"]) == 1
    seen, token = first["Functions"], first["NextToken"]
    rest = told(aws("list-functions", "--starting-token", token))
    assert "NextToken" not in rest
    every = told(aws("list-functions"))["Functions"]
    assert seen + rest["Functions"] == every
    for other in others:
        lambda_client.delete_function(FunctionName=other)


def test_tags_are_set_shown_and_taken_away(aws: Aws, name: str) -> None:
    arn = told(aws("get-function-configuration", "--function-name", name))["FunctionArn"]
    assert told(aws("list-tags", "--resource", arn))["Tags"] == {"team": "blue", "stage": "test"}
    told(aws("tag-resource", "--resource", arn, "--tags", "team=red,new="))
    told(aws("untag-resource", "--resource", arn, "--tag-keys", "stage"))
    assert told(aws("get-function", "--function-name", name))["Tags"] == {"team": "red", "new": ""}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        pytest.param(
            "get-function --function-name nothing",
            "ResourceNotFoundException",
            "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nothing",
            id="not there",
        ),
        pytest.param(
            "update-function-configuration --function-name {name} --timeout 901",
            "InvalidParameterValueException",
            "'Timeout' value failed to satisfy constraint: "
            "Member must have value less than or equal to 900",
            id="not allowed",
        ),
        pytest.param(
            "list-capacity-providers",
            "ServiceException",
            "Lampyr does not serve ListCapacityProviders yet",
            id="unserved",
        ),
    ],
)
def test_errors_are_told_in_one_line(
    aws: Aws, name: str, words: str, code: str, message: str
) -> None:
    refused = aws(*words.format(name=name).split())
    assert refused.returncode in (254, 255)  # Versions of the CLI differ.
    assert refused.stdout == ""
    (line,) = refused.stderr.strip().splitlines()
    assert line.startswith(f"An error occurred ({code}) when calling the ")
    assert line.endswith(f": {message}")
