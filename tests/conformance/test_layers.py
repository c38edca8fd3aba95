"""Layers as functions find them below `/opt`."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import (
    PYTHON,
    ROLE,
    change,
    create,
    function,
    invoke,
    refusal,
    unique_name,
    value,
    zipped,
)

LAYERS: Final = "https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html"
PACKAGING: Final = "https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html"
READER: Final = """
import os, subprocess, sys
def handler(event, context):
    import both, deep, first
    opt = os.path.dirname(os.path.dirname(first.__file__))
    tool = subprocess.run(["tool"], capture_output=True, text=True, check=True)
    return {
        "modules": [first.NAME, both.NAME, deep.NAME],
        "compiled": os.path.exists(both.__cached__),
        "tool": tool.stdout,
        "path": [path for path in sys.path if path.startswith(opt)],
        "files": sorted(os.listdir(opt)),
        "writable": os.access(opt, os.W_OK),
        "opt": opt,
    }
"""
FIRST: Final = {
    "python/first.py": "NAME = 'first'",
    "python/both.py": "NAME = 'of the first'",
    "bin/tool": "#!/bin/sh\necho from the first",
    "data": "1",
}
SECOND: Final = {
    f"python/lib/{PYTHON}/site-packages/deep.py": "NAME = 'deep'",
    "python/both.py": "NAME = 'of the second'",
}

PROGRAMS: Final = ("bin/tool", "bootstrap", "extensions/spy", "wrapper")


@contextmanager
def layer(client: Any, files: dict[str, str], **given: Any) -> Iterator[str]:
    """The ARN of a layer's only version."""
    name = unique_name("layer")
    content = {"ZipFile": zipped(files, executable=PROGRAMS)}
    version = client.publish_layer_version(LayerName=name, Content=content, **given)
    try:
        yield version["LayerVersionArn"]
    finally:
        client.delete_layer_version(LayerName=name, VersionNumber=version["Version"])


@pytest.mark.documented(LAYERS)
def test_layers_lie_over_each_other_and_stay_while_they_are_used(lambda_client: Any) -> None:
    with (
        layer(lambda_client, FIRST) as first,
        layer(lambda_client, SECOND) as second,
        layer(lambda_client, SECOND) as equal,
    ):
        name = create(lambda_client, READER, Layers=[second, first, equal])
    try:
        # Both are deleted by now.
        found = value(lambda_client, name)
        assert found == {
            "modules": ["first", "of the second", "deep"],
            "compiled": True,
            "tool": "from the first\n",
            "path": [f"/opt/python/lib/{PYTHON}/site-packages", "/opt/python"],
            "files": ["bin", "data", "python"],
            "writable": False,
            "opt": "/opt",
        }
        error = refusal(
            lambda_client.update_function_configuration, FunctionName=name, Layers=[first]
        )
        assert error == (
            400,
            "InvalidParameterValueException",
            f"Layer version {first} does not exist.",
        )
        change(lambda_client, name, Layers=[])
        assert "No module named" in invoke(lambda_client, name).payload["errorMessage"]
    finally:
        lambda_client.delete_function(FunctionName=name)


@pytest.mark.documented(LAYERS)
def test_a_layer_is_published_found_listed_and_downloaded(lambda_client: Any) -> None:
    archive = zipped(FIRST)
    name = unique_name("layer")
    given = {"LayerName": name, "Content": {"ZipFile": archive}, "LicenseInfo": "MIT"}
    made = lambda_client.publish_layer_version(CompatibleRuntimes=[PYTHON], **given)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    with urllib.request.urlopen(made["Content"]["Location"], timeout=10) as answer:
        assert answer.read() == archive
    found = lambda_client.get_layer_version(LayerName=made["LayerArn"], VersionNumber=1)
    by_arn = lambda_client.get_layer_version_by_arn(Arn=made["LayerVersionArn"])
    for shown in (made, found, by_arn):
        del shown["ResponseMetadata"], shown["Content"]["Location"]
    assert made == found == by_arn
    pages = lambda_client.get_paginator("list_layers")
    listed = pages.paginate(CompatibleRuntime=PYTHON, PaginationConfig={"PageSize": 1})
    latest = {each["LayerName"]: each["LatestMatchingVersion"] for each in listed.search("Layers")}
    versions = lambda_client.list_layer_versions(LayerName=name)["LayerVersions"]
    assert versions == [latest[name]]
    for _ in range(2):
        gone = lambda_client.delete_layer_version(LayerName=name, VersionNumber=1)
        assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    error = refusal(lambda_client.get_layer_version, LayerName=name, VersionNumber=1)
    absent = "The resource you requested does not exist."
    assert error == (404, "ResourceNotFoundException", absent)
    error = refusal(lambda_client.get_layer_version, LayerName=name, VersionNumber=0)
    less = "Layer Version Cannot be less than 1"
    assert error == (400, "InvalidParameterValueException", less)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this host")
@pytest.mark.documented(PACKAGING)
def test_a_layer_brings_the_bootstrap(lambda_client: Any) -> None:
    files = {
        "bootstrap": (
            "#!/bin/bash\nnext=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation\n"
            "while true; do\n"
            'id=$(curl -sSD - -o /tmp/event "$next/next" | tr -d "\\r" |'
            " sed -n 's/^Lambda-Runtime-Aws-Request-Id: //Ip')\n"
            'curl -sS -d "\\"$0\\"" "$next/$id/response" >/dev/null\n'
            "done\n"
        )
    }
    with layer(lambda_client, files) as arn:
        given = {"Runtime": "provided.al2023", "Layers": [arn]}
        with function(lambda_client, zipped({"data": "1"}), **given) as name:
            assert value(lambda_client, name) == "/opt/bootstrap"


@pytest.mark.documented(PACKAGING)
def test_node_finds_modules_of_layers(lambda_client: Any, need: Any) -> None:
    need("nodejs22.x")
    files = {
        "nodejs/node_modules/shared/index.js": "module.exports = 'shared'",
        "nodejs/node22/node_modules/both/index.js": "module.exports = 'of 22'",
        "nodejs/node_modules/both/index.js": "module.exports = 'of all'",
    }
    code = zipped({"app.js": "exports.handler = async () => [require('shared'), require('both')]"})
    with layer(lambda_client, files) as arn:
        given = {"Runtime": "nodejs22.x", "Layers": [arn]}
        with function(lambda_client, code, **given) as name:
            assert value(lambda_client, name) == ["shared", "of 22"]


@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper"
)
def test_a_layers_wrapper_script_starts_the_runtime(lambda_client: Any) -> None:
    files = {
        "wrapper": '#!/bin/bash\nexport WRAPPED=yes\ninterpreter="$1"; shift\n'
        'exec "$interpreter" -X importtime "$@" 2>/dev/null\n',
        "data": "",
    }
    code = "import os, sys\ndef handler(event, context):\n"
    code += "    return [os.environ['WRAPPED'], sys._xoptions]\n"
    with layer(lambda_client, files) as arn:
        variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}
        given = {"Layers": [arn], "Environment": {"Variables": variables}}
        with function(lambda_client, code, **given) as name:
            assert value(lambda_client, name) == ["yes", {"importtime": True}]
            for path, status, said in (
                ("/opt/none", 127, "/opt/none: does not exist"),
                ("/opt/data", 126, "/opt/data: is not an executable"),
            ):
                variables["AWS_LAMBDA_EXEC_WRAPPER"] = path
                change(lambda_client, name, Environment={"Variables": variables})
                answer = invoke(lambda_client, name, LogType="Tail")
                assert answer.payload["errorType"] == "Runtime.ExitError"
                assert f"exit status {status}" in answer.payload["errorMessage"]
                assert said in answer.log


@pytest.mark.lampyr_only
def test_a_function_with_an_external_extension_fails_and_says_why(lambda_client: Any) -> None:
    with layer(lambda_client, {"extensions/spy": "#!/bin/sh", "extensions/a/b": ""}) as arn:
        with pytest.raises(AssertionError, match=r"external extensions.*/opt/extensions: spy"):
            create(lambda_client, READER, FunctionName=(name := unique_name()), Layers=[arn])
        lambda_client.delete_function(FunctionName=name)


@pytest.mark.lampyr_only
def test_layers_without_mounts(new_server: Any) -> None:
    server: LampyrServer = new_server("--sandbox", "process")
    server.start()
    client = server.client()
    with layer(client, FIRST) as first, layer(client, SECOND) as second:
        name = create(client, READER, Layers=[first, second])
        found = value(client, name)
    client.close()
    assert found["modules"] == ["first", "of the second", "deep"]
    assert found["tool"] == "from the first\n"
    assert len(found["path"]) == 2


@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/dg/permissions-layer-cross-account.html"
)
def test_another_account_uses_a_layer_that_it_is_let_into(
    lampyr_server: LampyrServer, lambda_client: Any
) -> None:
    other = lampyr_server.client(aws_access_key_id="222222222222", aws_secret_access_key="x")
    with layer(lambda_client, {"python/shared.py": "NAME = 'theirs'"}) as arn:
        version = {"LayerName": arn.rpartition(":")[0], "VersionNumber": 1}
        denied = refusal(other.get_layer_version_by_arn, Arn=arn)
        assert denied[:2] == (403, "AccessDeniedException")
        assert refusal(lambda_client.get_layer_version_policy, **version) == (
            404,
            "ResourceNotFoundException",
            "No policy is associated with the given resource.",
        )
        grant = {**version, "Action": "lambda:GetLayerVersion"}
        first = lambda_client.add_layer_version_permission(
            **grant, StatementId="organization", Principal="*", OrganizationId="o-1234567890"
        )
        assert refusal(other.get_layer_version, **version) == denied
        given = {**grant, "StatementId": "account", "Principal": "222222222222"}
        added = lambda_client.add_layer_version_permission(**given, RevisionId=first["RevisionId"])
        assert json.loads(added["Statement"]) == {
            "Sid": "account",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
            "Action": "lambda:GetLayerVersion",
            "Resource": arn,
        }
        assert refusal(lambda_client.add_layer_version_permission, **given)[:2] == (
            409,
            "ResourceConflictException",
        )
        shown = lambda_client.get_layer_version_policy(**version)
        assert shown["RevisionId"] == added["RevisionId"]
        policy = json.loads(shown["Policy"])
        assert [each["Sid"] for each in policy["Statement"]] == ["organization", "account"]
        assert other.get_layer_version(**version)["LayerVersionArn"] == arn
        code = "import shared\ndef handler(event, context):\n    return shared.NAME\n"
        with function(other, code, Layers=[arn], Role=ROLE.replace("0" * 12, "2" * 12)) as name:
            assert value(other, name) == "theirs"
        remove = lambda_client.remove_layer_version_permission
        stale = refusal(remove, **version, StatementId="account", RevisionId=first["RevisionId"])
        assert stale[:2] == (412, "PreconditionFailedException")
        remove(**version, StatementId="account")
        assert refusal(other.get_layer_version, **version) == denied
        absent = refusal(remove, **version, StatementId="account")
        assert absent[:2] == (404, "ResourceNotFoundException")
        assert refusal(remove, **{**version, "VersionNumber": 9}, StatementId="a") == (
            404,
            "ResourceNotFoundException",
            f"Layer version {arn[:-1]}9 does not exist.",
        )
    other.close()
