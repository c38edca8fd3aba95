"""Code packages: what is in them inside the sandbox, what comes back, what is refused."""

import io
import zipfile
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.conformance.deployed import PYTHON, ROLE, function, refusal, unique_name, value, zipped

API: Final = "https://docs.aws.amazon.com/lambda/latest/api/"
ANSWER: Final = "def handler(event, context): return 1"


@pytest.mark.documented(API + "API_GetFunction.html")
def test_the_package_is_downloaded_as_it_was_sent(lambda_client: Any) -> None:
    package = zipped({"app.py": ANSWER, "data/ü.bin": bytes(range(256))})
    with function(lambda_client, package) as name:
        found = lambda_client.get_function(FunctionName=name)
        assert found["Code"]["RepositoryType"] == "S3"
        assert found["Configuration"]["CodeSize"] == len(package)
        location = found["Code"]["Location"]
        with urlopen(location, timeout=10) as download:
            assert download.read() == package
        for forged in (location[:-1] + "x", location.partition("?")[0]):
            with pytest.raises(HTTPError) as caught:
                urlopen(forged, timeout=10)
            assert caught.value.code == 403
            caught.value.close()


@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-function-zip.html"
)
def test_modes_and_links_of_a_package_are_kept(lambda_client: Any) -> None:
    code = """
import os, subprocess
def handler(event, context):
    return {
        "ran": subprocess.run(["/var/task/bin/tool"], capture_output=True, text=True).stdout,
        "through": open("/var/task/link.txt").read(),
        "link": os.readlink("/var/task/link.txt"),
        "modes": {name: oct(os.stat(f"/var/task/{name}").st_mode & 0o777)
                  for name in ("bin/tool", "app.py", "bin")},
    }
"""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, mode, content in (
            ("app.py", 0o100644, code),
            ("bin/tool", 0o100755, "#!/bin/sh\necho tool\n"),
            ("data.txt", 0o100644, "data"),
            ("link.txt", 0o120777, "data.txt"),
        ):
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    with function(lambda_client, target.getvalue()) as name:
        assert value(lambda_client, name) == {
            "ran": "tool\n",
            "through": "data",
            "link": "data.txt",
            "modes": {"bin/tool": "0o755", "app.py": "0o644", "bin": "0o755"},
        }


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
def test_a_package_over_250_mb_unzipped_is_refused(lambda_client: Any) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        block = bytes(1024 * 1024)
        with archive.open("big", "w") as file:
            for _ in range(251):
                file.write(block)
        archive.writestr("app.py", ANSWER)
    status, code, message = refusal(
        lambda_client.create_function,
        FunctionName=unique_name("big"),
        Runtime=PYTHON,
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": target.getvalue()},
    )
    assert (status, code) == (400, "InvalidParameterValueException")
    assert message == "Unzipped size must be smaller than 262144000 bytes"


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
def test_a_package_over_50_mb_is_refused_as_a_request_that_is_too_large(
    lambda_client: Any,
) -> None:
    status, code, message = refusal(
        lambda_client.create_function,
        FunctionName=unique_name("large"),
        Runtime=PYTHON,
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": bytes(53 * 1024 * 1024)},
    )
    assert (status, code) == (413, "RequestEntityTooLargeException")
    assert message == "Request must be smaller than 70167211 bytes for the CreateFunction operation"
