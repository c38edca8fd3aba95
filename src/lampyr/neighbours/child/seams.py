"""Where ministack would run functions itself, it asks Lampyr instead.

ministack's services find a function and execute it through a handful of functions of its module
`lambda_svc`. Those are replaced; each is checked first to be there and to take what it took in the
version that is pinned, so that another version fails loudly when it starts, not quietly later. What
executes code in this process's own name (no sandbox!) is replaced by a refusal as well.
"""

import inspect
import sys
from typing import Any, Final

from lampyr.neighbours.child import traces
from lampyr.neighbours.child.push import Outcome, Pusher
from lampyr.neighbours.child.shapes import as_on_aws

PARAMETERS: Final = {
    "_get_func_record_for_ref": ("function_ref",),
    "_get_base_func_record_for_ref": ("function_ref",),
    "_get_func_record_for_ref_in_scope": ("function_ref", "account_id", "region"),
    "_get_func_record_for_qualifier": ("name", "qualifier"),
    "_execution_record_for_config": ("func", "config"),
    "_execute_function_with_config_scope": ("func", "event"),
    "_execute_function": ("func", "event"),
    "_emit_lambda_metrics": None,
    "invoke_async_with_retry": ("func", "event"),
    "_execute_function_dispatch": None,
    "_execute_function_docker": None,
    "_execute_function_local": None,
    "_execute_function_provided": None,
    "_execute_function_provided_warm": None,
    "_execute_function_proxy": None,
    "_execute_function_warm": None,
}
"""What is relied on, and the names of its parameters; None where those do not matter."""
ASYNCHRONOUS: Final = frozenset({"cloudformation", "cloudwatch_logs", "eventbridge", "s3", "sns"})
"""Modules of services that invoke with the type Event on AWS, and do not wait.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html
"""
_ALSO_ASYNCHRONOUS: Final = frozenset({("iot", "_dispatch_rule_to_lambda")})
"""Functions of services whose other functions wait for what they invoke."""
KIND: Final = "lampyr_kind"
SOURCE: Final = "lampyr_source"
TRACE: Final = "lampyr_trace"
_SERVICES: Final = "ministack.services."


class SeamError(Exception):
    """ministack is not what this was written for."""


def check(lambda_svc: Any) -> None:
    """Raise `SeamError` and say everything that is different."""
    wrong = []
    for name, expected in PARAMETERS.items():
        found = getattr(lambda_svc, name, None)
        if not callable(found):
            wrong.append(f"{name} is missing")
        elif (
            expected is not None and (has := tuple(inspect.signature(found).parameters)) != expected
        ):
            wrong.append(f"{name} takes {has}, not {expected}")
    functions = getattr(lambda_svc, "_functions", None)
    if not all(hasattr(functions, name) for name in ("get", "get_scoped")):
        wrong.append("_functions has no get or get_scoped")
    if wrong:
        raise SeamError("; ".join(wrong))


class Seams:
    """What stands in the place of ministack's own Lambda."""

    def __init__(self, lambda_svc: Any, responses: Any, pusher: Pusher) -> None:
        self._responses = responses
        self._pusher = pusher
        self._run_in_scope = lambda_svc._run_with_function_config_scope  # noqa: SLF001

    def install(self, lambda_svc: Any) -> None:
        for name in PARAMETERS:
            if name.startswith("_execute_function_"):
                setattr(lambda_svc, name, _refuse)
        lambda_svc._get_func_record_for_ref = self.record  # noqa: SLF001
        lambda_svc._get_base_func_record_for_ref = self.record  # noqa: SLF001
        lambda_svc._get_func_record_for_ref_in_scope = self.record_in_scope  # noqa: SLF001
        lambda_svc._get_func_record_for_qualifier = self.record_for_qualifier  # noqa: SLF001
        lambda_svc._execution_record_for_config = self.execution_record  # noqa: SLF001
        lambda_svc._execute_function_with_config_scope = self.execute  # noqa: SLF001
        lambda_svc._execute_function = self.execute  # noqa: SLF001
        lambda_svc._emit_lambda_metrics = lambda *_args, **_options: None  # noqa: SLF001
        lambda_svc.invoke_async_with_retry = self.execute
        seams = self

        class Functions(type(lambda_svc._functions)):  # type: ignore[misc]  # noqa: SLF001
            """Any function may be there: whether it is, Lampyr answers when it is invoked."""

            def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 - a dict's
                return seams.noted(seams.record(key)[0], sys._getframe(1))  # noqa: SLF001

            def get_scoped(self, account_id: str, region: str, key: str, *_: Any) -> Any:
                return seams.record_in_scope(key, account_id=account_id, region=region)[0]

        lambda_svc._functions = Functions()  # noqa: SLF001

    def record(self, function_ref: str) -> tuple[dict[str, Any], dict[str, Any], str]:
        responses = self._responses
        return _record(_arn(str(function_ref), responses.get_account_id(), responses.get_region()))

    def record_in_scope(
        self, function_ref: str, *, account_id: str | None = None, region: str | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], str]:
        account_id = account_id or self._responses.get_account_id()
        region = region or self._responses.get_region()
        return _record(_arn(str(function_ref), account_id, region))

    def record_for_qualifier(
        self, name: str, qualifier: str | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        record, config, _ = self.record(f"{name}:{qualifier}" if qualifier else name)
        return record, config

    def execution_record(self, func: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
        return self.noted({**func, "config": config}, sys._getframe(1))  # noqa: SLF001

    def execute(self, func: dict[str, Any], event: Any) -> dict[str, Any]:
        """Invoke, for whichever service asked; the answer in ministack's words."""
        config = func.get("config") or func
        if SOURCE not in func:
            func = self.noted(dict(func), sys._getframe(1))  # noqa: SLF001
        source, kind = func[SOURCE], func[KIND]
        shaped = as_on_aws(source, event)
        outcome = self._pusher.push(
            config["FunctionArn"], shaped, kind=kind, source=source, trace=func.get(TRACE) or ""
        )
        return _answer(outcome, source)

    @staticmethod
    def noted(record: dict[str, Any], frame: Any) -> dict[str, Any]:
        """Who asked for this record: it may be executed on a thread that does not know."""
        service, function = _service_of(frame)
        waits = service not in ASYNCHRONOUS and (service, function) not in _ALSO_ASYNCHRONOUS
        record[SOURCE], record[KIND] = service, "RequestResponse" if waits else "Event"
        record[TRACE] = traces.current()
        return record


def _answer(outcome: Outcome, source: str) -> dict[str, Any]:
    found: dict[str, Any] = {"body": outcome.body}
    if outcome.error:
        found["error"] = True
        if source == "stepfunctions" and isinstance(outcome.body, dict):
            code = str(outcome.body.get("errorType", ""))
            if code.endswith("Exception") and "stackTrace" not in outcome.body:
                found["body"] = {**outcome.body, "errorType": f"Lambda.{code}"}
    if outcome.throttled:
        found["throttle"] = True
    return found


def _service_of(frame: Any) -> tuple[str, str]:
    """The nearest caller in a module of a service: the module, and the function."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        name = module.removeprefix(_SERVICES)
        if name not in {module, "lambda_svc"}:
            return name.partition(".")[0], frame.f_code.co_name
        frame = frame.f_back
    return "unknown", ""


def _arn(ref: str, account_id: str, region: str) -> str:
    """A function's ARN, from whatever form of its name a service kept."""
    if ref.startswith("arn:"):
        # API Gateway keeps the URI of the invocation, with the function's ARN inside.
        inner = ref.partition("/functions/")[2].removesuffix("/invocations")
        return inner or ref
    parts = ref.split(":")
    if "function" in parts[:-1]:
        parts = parts[parts.index("function") + 1 :]
    return f"arn:aws:lambda:{region}:{account_id}:function:{':'.join(parts)}"


def _record(arn: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    parts = arn.split(":")
    name = parts[6] if len(parts) > 6 else arn  # noqa: PLR2004 - an ARN of a function has seven
    config = {
        "FunctionName": name,
        "FunctionArn": arn,
        "Version": parts[7] if len(parts) > 7 else "$LATEST",  # noqa: PLR2004 - its qualifier
        "Timeout": 900,
        # Some services treat runtimes that ministack itself would run in another way.
        "Runtime": "provided",
    }
    return {"config": config}, config, name


def _refuse(*_args: Any, **_options: Any) -> Any:
    raise SeamError("functions are Lampyr's to run")
