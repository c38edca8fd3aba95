"""The client commands, as their users see them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub import ARN, Stub

CREATE = ("--handler", "app.handler", "--runtime", "python3.13")


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(event, context): ...\n")
    return str(tmp_path / "src")


def test_deploy_creates_and_waits_until_the_function_is_active(
    run: Run, stub: Stub, source: str
) -> None:
    result = run("deploy", source, "--name", "hello", *CREATE, "--env", "A=1", "--env", "B=x=y")
    assert result.exit_code == 0, result.stderr
    assert f"Created {ARN}hello\nversion $LATEST, python3.13," in result.stdout
    assert "Active" in result.stdout
    assert result.stderr.count("waiting for hello to be Active") == 1
    assert stub.functions["hello"]["Environment"] == {"Variables": {"A": "1", "B": "x=y"}}
    assert stub.functions["hello"]["Role"] == "arn:aws:iam::000000000000:role/lampyr"


def test_deploy_the_same_again_changes_nothing(run: Run, stub: Stub, source: str) -> None:
    run("deploy", source, "--name", "hello", *CREATE)
    stub.seen.clear()
    result = run("deploy", source, "--name", "hello", "--timeout", "3")
    assert result.stdout.startswith("Unchanged ")
    assert {method for method, *_ in stub.seen} == {"GET"}


def test_deploy_updates_what_differs_and_only_that(run: Run, stub: Stub, source: str) -> None:
    run("deploy", source, "--name", "hello", *CREATE, "--memory", "256")
    stub.seen.clear()
    result = run("deploy", source, "--name", "hello", "--timeout", "9", "--handler", "app.handler")
    assert result.stdout.startswith("Updated ")
    changes = [(path, json.loads(body)) for method, path, _, body in stub.seen if method == "PUT"]
    assert changes == [("/2015-03-31/functions/hello/configuration", {"Timeout": 9})]
    assert stub.functions["hello"]["MemorySize"] == 256


def test_deploy_prints_why_a_function_failed(run: Run, stub: Stub, source: str) -> None:
    stub.fails_with = "python3.13 is not here. Run: lampyr runtimes install python3.13"
    result = run("deploy", source, "--name", "hello", *CREATE)
    assert result.exit_code == 1
    assert f"Error: hello failed: {stub.fails_with} (InvalidRuntime)" in result.stderr
    assert not result.stdout


def test_deploy_the_same_again_tries_again_what_had_failed(
    run: Run, stub: Stub, source: str
) -> None:
    stub.fails_with = "python3.13 is not here."
    run("deploy", source, "--name", "hello", *CREATE)
    stub.fails_with = None
    stub.polls_until_active = 3
    result = run("deploy", source, "--name", "hello")
    assert (result.exit_code, result.stdout.split()[0]) == (0, "Updated")


def test_deploy_says_what_is_needed_to_create(run: Run, source: str) -> None:
    result = run("deploy", source, "--name", "hello", "--handler", "app.handler")
    assert (result.exit_code, "--runtime is needed" in result.stderr) == (2, True)


def test_deploy_as_json(run: Run, source: str) -> None:
    result = run("deploy", source, "--name", "hello", *CREATE, "--json")
    answer = json.loads(result.stdout)
    assert (answer["Outcome"], answer["FunctionArn"]) == ("Created", f"{ARN}hello")
    assert not result.stderr


def invoked(**headers: str) -> dict[str, str]:
    return {"X-Amz-Executed-Version": "$LATEST", **headers}


def test_invoke_prints_the_payload_as_it_is(run: Run, stub: Stub) -> None:
    stub.answers["hello"] = (200, invoked(), '{"a":  "ü"}'.encode())
    result = run("invoke", "hello", "--payload", '{"b": 1}')
    assert (result.exit_code, result.stdout_bytes) == (0, '{"a":  "ü"}'.encode())
    assert stub.seen[0][3] == b'{"b": 1}'


@pytest.mark.parametrize(("given", "stdin"), [("@event.json", ""), ("-", '{"c": 2}')])
def test_invoke_takes_the_payload_from_a_file_or_standard_input(
    run: Run, stub: Stub, given: str, stdin: str
) -> None:
    stub.answers["hello"] = (200, invoked(), b"1")
    Path("event.json").write_text('{"c": 2}')
    assert run("invoke", "hello", "--payload", given, input=stdin).exit_code == 0
    assert stub.seen[0][3] == b'{"c": 2}'


def test_invoke_prints_the_error_of_a_function_beside_and_fails(run: Run, stub: Stub) -> None:
    error = {
        "errorType": "ValueError",
        "errorMessage": "told to",
        "stackTrace": ["  File app.py\n"],
    }
    stub.answers["hello"] = (
        200,
        invoked(**{"X-Amz-Function-Error": "Unhandled"}),
        json.dumps(error).encode(),
    )
    result = run("invoke", "hello")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "ValueError: told to\n    File app.py\n"
    as_json = run("invoke", "hello", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["Payload"] == error


def test_invoke_prints_the_tail_of_the_log_beside(run: Run, stub: Stub) -> None:
    log = base64.b64encode(b"START\nhello \x1b[31m\nEND\n").decode()
    stub.answers["hello"] = (200, invoked(**{"X-Amz-Log-Result": log}), b"1")
    result = run("invoke", "hello", "--tail")
    assert (result.stdout, result.stderr) == ("1", "START\nhello \\x1b[31m\nEND\n")


def test_a_refusal_is_printed_with_its_name(run: Run) -> None:
    result = run("logs", "gone")
    assert result.exit_code == 1
    assert result.stderr == f"Error: ResourceNotFoundException: Function not found: {ARN}gone\n"
    assert run("delete", "gone", "--yes").stderr == result.stderr


def test_nobody_there_is_said_in_one_line(run: Run) -> None:
    for command in (["list"], ["invoke", "x"], ["logs", "x"], ["delete", "x", "--yes"]):
        result = run(*command, "--endpoint-url", "http://127.0.0.1:1")
        assert result.exit_code == 3
        assert result.stderr == (
            "Error: Lampyr is not running at http://127.0.0.1:1 : start it with 'lampyr start'\n"
        )


def test_list_prints_a_table(run: Run, source: str) -> None:
    assert run("list").stderr == "No functions in us-east-1.\n"
    run("deploy", source, "--name", "hello", *CREATE)
    heading, row = run("list").stdout.splitlines()
    assert heading.split()[:3] == ["NAME", "RUNTIME", "HANDLER"]
    assert row.split()[:3] == ["hello", "python3.13", "app.handler"]
    assert [f["FunctionName"] for f in json.loads(run("list", "--json").stdout)] == ["hello"]


def test_delete_asks_first(run: Run, stub: Stub, source: str) -> None:
    run("deploy", source, "--name", "hello", *CREATE)
    assert run("delete", "hello", input="n\n").exit_code == 1
    assert "hello" in stub.functions
    assert run("delete", "hello", input="y\n").stdout == "Deleted hello with all its versions.\n"
    assert not stub.functions


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"])
def test_the_server_is_found_by_the_variables_of_aws(run: Run, stub: Stub, variable: str) -> None:
    env = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", variable: stub.url}
    assert run("list", env=env).exit_code == 0


def test_the_server_is_found_by_the_port_setting(run: Run, stub: Stub) -> None:
    port = stub.url.rpartition(":")[2]
    nothing: dict[str, Any] = {"AWS_ENDPOINT_URL": None}
    assert run("list", env={**nothing, "LAMPYR_PORT": port}).exit_code == 0
    Path("lampyr.toml").write_text(f"port = {port}\n")
    assert run("list", env=nothing).exit_code == 0


def test_the_region_and_account_are_those_of_any_aws_client(
    run: Run, source: str, stub: Stub
) -> None:
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "123456789012"}
    env["AWS_SECRET_ACCESS_KEY"] = "x"
    assert "eu-west-1" in run("list", env=env).stderr
    run("deploy", source, "--name", "hello", *CREATE, env=env)
    assert stub.functions["hello"]["Role"] == "arn:aws:iam::123456789012:role/lampyr"


def test_a_misspelt_command_or_setting_gets_a_hint(run: Run) -> None:
    assert "Did you mean 'list'?" in run("lst").stderr
    result = run("list", env={"LAMPYR_PROT": "1"})
    assert (result.exit_code, "did you mean 'LAMPYR_PORT'?" in result.stderr) == (2, True)


def test_the_shell_completes_names_of_functions(run: Run, source: str) -> None:
    run("deploy", source, "--name", "hello", *CREATE)
    env = {"COMP_WORDS": "lampyr invoke he", "COMP_CWORD": "2", "_LAMPYR_COMPLETE": "bash_complete"}
    assert run(env=env).stdout == "plain,hello\n"
    assert run(env={**env, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).stdout.strip() == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_script(run: Run, shell: str) -> None:
    assert "_LAMPYR_COMPLETE" in run("completion", shell).stdout
