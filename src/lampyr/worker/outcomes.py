"""What a caller is told when a function did not answer: AWS's error types and sentences.

https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
"""

import json
import signal
from dataclasses import dataclass, replace
from typing import Final

from lampyr.model.function import Reason
from lampyr.worker.sandbox.base import Exit

ENVELOPE_BYTES: Final = 100
RESPONSE_BYTES_TEXT: Final = 6 * 1024 * 1024 + ENVELOPE_BYTES
"""What AWS names as the largest response: 6 MB and the 100 bytes of its own envelope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an Init or an invocation failed: what the caller gets, and what REPORT says."""

    error_type: str
    payload: bytes
    status: str = "error"
    log_text: str = ""
    """What the function's log is told; empty where the runtime has told it already."""
    log_tail: bytes = b""
    """Of an Init inside an invocation whose caller asked for it."""


def _failure(error_type: str, message: str) -> Failure:
    return Failure(error_type=error_type, payload=_payload(error_type, message))


def _payload(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def timed_out(request_id: str, timeout_seconds: float) -> Failure:
    text = f"Task timed out after {timeout_seconds:.2f} seconds"
    return Failure(
        error_type="Sandbox.Timedout",
        payload=_payload("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}"),
        status="timeout",
        log_text=text,
    )


def exited(request_id: str, end: Exit) -> Failure:
    """The runtime's process ended where it should have answered."""
    text = describe_exit(end)
    return Failure(
        error_type="Runtime.OutOfMemory" if end.out_of_memory else "Runtime.ExitError",
        payload=_payload("Runtime.ExitError", f"RequestId: {request_id} Error: {text}"),
        log_text=text,
    )


def describe_exit(end: Exit) -> str:
    if end.out_of_memory:
        return "Runtime exited with error: signal: killed"
    if end.signal is not None:
        return f"Runtime exited with error: signal: {_signal_name(end.signal)}"
    if end.code:
        return f"Runtime exited with error: exit status {end.code}"
    return "Runtime exited without providing a reason"


def invalid_entrypoint(request_id: str, error_type: str, message: str) -> Failure:
    """The function brings its own runtime, and there is none that could be run."""
    text = f"RequestId: {request_id} Error: {message}"
    return Failure(error_type=error_type, payload=_payload(error_type, text), log_text=message)


def reason_of(failure: Failure) -> Reason:
    """Why a version with SnapStart could not be initialised when it was published."""
    told = json.loads(failure.payload)
    kind, message = told.get("errorType", failure.error_type), told.get("errorMessage", "")
    code = {
        "Sandbox.Timedout": "FunctionError.InitTimeout",
        "Runtime.OutOfMemory": "FunctionError.InitResourceExhausted",
        "Runtime.InvalidEntrypoint": "FunctionError.InvalidEntryPoint",
    }.get(failure.error_type, "FunctionError.RuntimeInitError")
    return Reason(message=f"{kind}: {message}", code=code)


def of_invocation(failure: Failure, request_id: str) -> Failure:
    """A failure of Init as the caller of `request_id` hears it.

    What the runtime said stays as it is; what Lampyr saw names the invocation.
    """
    if not failure.log_text:
        return failure
    told = json.loads(failure.payload)["errorType"]
    text = f"RequestId: {request_id} Error: {failure.log_text}"
    return replace(failure, payload=_payload(told, text))


def response_too_large() -> Failure:
    message = (
        "Response payload size exceeded maximum allowed payload size "
        f"({RESPONSE_BYTES_TEXT} bytes)."
    )
    return _failure("Function.ResponseSizeTooLarge", message)


def stopped() -> Failure:
    """The environment was shut down before it was ready."""
    return _failure("Sandbox.Failure", "The execution environment was shut down")


def _signal_name(number: int) -> str:
    """Signals as Go's `ProcessState` spells them, which is what AWS shows."""
    known = {
        signal.SIGKILL: "killed",
        signal.SIGSEGV: "segmentation fault",
        signal.SIGABRT: "aborted",
        signal.SIGTERM: "terminated",
        signal.SIGBUS: "bus error",
        signal.SIGFPE: "floating point exception",
        signal.SIGILL: "illegal instruction",
        signal.SIGINT: "interrupt",
        signal.SIGHUP: "hangup",
        signal.SIGQUIT: "quit",
        signal.SIGPIPE: "broken pipe",
        signal.SIGSYS: "bad system call",
        signal.SIGTRAP: "trace/breakpoint trap",
    }
    try:
        return known.get(signal.Signals(number), f"signal {number}")
    except ValueError:
        return f"signal {number}"
