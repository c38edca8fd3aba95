"""What goes between the front and a worker, as members of messages, and back."""

import base64
from typing import Any

from lampyr.cluster.frames import Members
from lampyr.model.function import FunctionVersion, Reason
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.store.documents import from_document, to_document
from lampyr.worker.environment_log import End, Start
from lampyr.worker.outcomes import Failure
from lampyr.worker.report import LogForm, Report


def of_version(version: FunctionVersion) -> Any:
    return to_document(version)


def to_version(document: Any) -> FunctionVersion:
    found: FunctionVersion = from_document(FunctionVersion, document)
    return found


def of_reason(reason: Reason | None) -> Any:
    return None if reason is None else to_document(reason)


def to_reason(document: Any) -> Reason | None:
    return None if document is None else Reason(**document)


def of_invocation(invocation: Invocation) -> dict[str, Any]:
    """Without the payload, which is the message's body."""
    return {
        "request_id": invocation.request_id,
        "invoked_arn": invocation.invoked_arn,
        "client_context": invocation.client_context,
        "cognito_identity": invocation.cognito_identity,
        "trace_header": invocation.trace_header,
        "tenant_id": invocation.tenant_id,
        "wants_log_tail": invocation.wants_log_tail,
    }


def to_invocation(members: dict[str, Any], payload: bytes) -> Invocation:
    return Invocation(payload=payload, **members)


def of_end(end: End) -> Members:
    """The end of an invocation, as a record: the front's writer makes its lines, and counts it."""
    return {
        "form": to_document(end.form),
        "report": to_document(end.report),
        "now_ms": end.now_ms,
        "start_ms": None if end.start is None else end.start.now_ms,
    }


def to_end(members: Members) -> End:
    form: LogForm = from_document(LogForm, members["form"])
    report: Report = from_document(Report, members["report"])
    began = members["start_ms"]
    start = None if began is None else Start(form, began, report.request_id, report.trace)
    return End(form, members["now_ms"], report, start)


def of_failure(failure: Failure) -> dict[str, Any]:
    return {
        "error_type": failure.error_type,
        "payload": base64.b64encode(failure.payload).decode(),
        "status": failure.status,
        "log_text": failure.log_text,
        "log_tail": base64.b64encode(failure.log_tail).decode(),
    }


def to_failure(members: dict[str, Any]) -> Failure:
    decoded = {name: base64.b64decode(members[name]) for name in ("payload", "log_tail")}
    return Failure(**(members | decoded))


def of_result(result: InvokeResult) -> Members:
    """Without the payload."""
    return {
        "executed_version": result.executed_version,
        "function_error": result.function_error,
        "log_tail": base64.b64encode(result.log_tail).decode(),
    }


def to_result(members: dict[str, Any], payload: bytes) -> InvokeResult:
    return InvokeResult(
        executed_version=members["executed_version"],
        payload=payload,
        function_error=members["function_error"],
        log_tail=base64.b64decode(members["log_tail"]),
    )
