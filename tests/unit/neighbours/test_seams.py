"""The checks on ministack's insides, and who asked for an invocation."""

from types import SimpleNamespace
from typing import Any

import pytest

from lampyr.neighbours.child.push import Outcome
from lampyr.neighbours.child.seams import PARAMETERS, SeamError, Seams, check
from lampyr.neighbours.child.shapes import as_on_aws

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:live"


class Functions(dict[str, Any]):
    def get_scoped(self, *_: Any) -> None: ...


def lambda_svc() -> Any:
    found: dict[str, Any] = {}
    for name, parameters in PARAMETERS.items():
        exec(f"def {name}({', '.join(parameters or ())}): pass", found)
    found.pop("__builtins__")
    return SimpleNamespace(
        **found, _functions=Functions(), _run_with_function_config_scope=lambda: None
    )


class Pusher:
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.pushed: list[Any] = []

    def push(self, arn: str, event: Any, *, kind: str, source: str, trace: str = "") -> Outcome:
        self.pushed.append((arn, event, kind, source))
        return self.outcome


def asked_by(service: str, function: str, module: Any, outcome: Outcome) -> tuple[Any, Any]:
    """What is pushed when a service's function invokes, and the answer it gets."""
    pusher = Pusher(outcome)
    responses = SimpleNamespace(
        get_account_id=lambda: "123456789012", get_region=lambda: "eu-west-1"
    )
    Seams(module, responses, pusher).install(module)  # type: ignore[arg-type]
    code = f"""
def {function}(m):
    func, config, name = m._get_func_record_for_ref("f:live")
    record = m._execution_record_for_config(func, config)
    return m._execute_function_with_config_scope(record, {{"a": 1}})
"""
    space: dict[str, Any] = {"__name__": f"ministack.services.{service}"}
    exec(code, space)
    return space[function](module), pusher.pushed[0]


@pytest.mark.parametrize(
    ("service", "function", "kind"),
    [
        ("eventbridge", "_dispatch_to_lambda", "Event"),
        ("iot", "_dispatch_rule_to_lambda", "Event"),
        ("iot", "_run_provisioning_hook", "RequestResponse"),
        ("cloudformation.custom_resource", "invoke", "Event"),
        ("cognito", "trigger", "RequestResponse"),
    ],
)
def test_a_service_waits_where_it_does_on_aws(service: str, function: str, kind: str) -> None:
    answer, pushed = asked_by(service, function, lambda_svc(), Outcome(body={"b": 2}))
    assert answer == {"body": {"b": 2}}
    assert pushed == (ARN, {"a": 1}, kind, service.partition(".")[0])


def test_an_error_is_told_in_the_words_of_whoever_asked() -> None:
    missing = Outcome(body={"errorType": "ResourceNotFoundException"}, error=True)
    answer, _ = asked_by("stepfunctions", "_call_lambda", lambda_svc(), missing)
    assert answer == {"error": True, "body": {"errorType": "Lambda.ResourceNotFoundException"}}
    own = Outcome(body={"errorType": "MyException", "stackTrace": []}, error=True)
    answer, _ = asked_by("stepfunctions", "_call_lambda", lambda_svc(), own)
    assert answer["body"]["errorType"] == "MyException"


def test_nothing_is_executed_here_and_what_changed_is_named() -> None:
    module = lambda_svc()
    check(module)
    asked_by("sns", "deliver", module, Outcome())
    with pytest.raises(SeamError, match="Lampyr's to run"):
        module._execute_function_local({}, {}, "id")
    other = lambda_svc()
    other._execution_record_for_config = lambda func: func
    del other._execute_function
    del other._functions
    with pytest.raises(SeamError) as refused:
        check(other)
    for word in (
        "_execution_record_for_config takes",
        "_execute_function is missing",
        "get_scoped",
    ):
        assert word in str(refused.value)


def test_a_notification_is_written_as_functions_get_it() -> None:
    message = {"SigningCertURL": "c", "UnsubscribeURL": "u", "Message": "m"}
    event = {"Records": [{"EventSource": "aws:sns", "Sns": message}]}
    found = as_on_aws("sns", event)["Records"][0]["Sns"]
    assert found == {
        "SigningCertUrl": "c",
        "UnsubscribeUrl": "u",
        "Message": "m",
        "Subject": None,
        "MessageAttributes": {},
    }
    assert as_on_aws("s3", event) is event
