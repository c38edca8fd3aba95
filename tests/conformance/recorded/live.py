"""A recorded scenario of calls, replayed on a whole Lampyr: its functions run."""

import itertools
import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from tests.conformance.deployed import zipped
from tests.conformance.recorded.answers import Comparison
from tests.conformance.recorded.scenario import ROLE, shown

_WAIT: Final = {"Delay": 0.05, "MaxAttempts": 600}
_NUMBERS: Final = itertools.count()
PLACES: Final = (
    *("AWS_LAMBDA_RUNTIME_API", "AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_ADDRESS"),
    *("AWS_ENDPOINT_URL", "LC_CTYPE", "_LAMBDA_TELEMETRY_LOG_FD"),
)
"""Variables that say where a function is: addresses, a descriptor, which locales the host has."""


class Live(Comparison):
    """`live("name of the answer", "operation", …)`; functions are deleted at the end."""

    def __init__(
        self, recorded: Mapping[str, Any], client: Any, apart: Collection[str] = PLACES
    ) -> None:
        super().__init__(recorded, apart)
        self.client = client
        self._made: list[str] = []

    def __call__(self, step: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
        answer = self.do(operation, **parameters)
        self.compare(step, answer)
        return answer

    def do(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """What boto3 returns, with the payload read, or the body of the error."""
        try:
            answer: dict[str, Any] = getattr(self.client, operation)(**parameters)
        except ClientError as error:
            return dict(error.response)
        if "Payload" in answer:
            raw = answer["Payload"].read()
            answer["Payload"] = json.loads(raw) if raw else ""
        return answer

    def create(
        self,
        step: str | None,
        files: Mapping[str, str | bytes],
        /,
        *,
        mode: tuple[str, ...] = (),
        **more: Any,
    ) -> str:
        """A function with the configuration that was recorded; its name, once it is active."""
        name = f"live-{next(_NUMBERS)}"
        given = {
            "FunctionName": name,
            "Role": ROLE,
            "Code": {"ZipFile": zipped(files, executable=mode)},
            **shown(self.recorded.get(step or "", {})),
            **more,
        }
        answer = self.do("create_function", **given)
        self._made.append(name)
        if step is not None:
            self.compare(step, answer)
        self.client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=_WAIT)
        return name

    def invoke(self, step: str, name: str, /, event: Any = None, **options: Any) -> dict[str, Any]:
        payload = json.dumps({} if event is None else event)
        return self(step, "invoke", FunctionName=name, Payload=payload, **options)

    def clean(self) -> None:
        for name in self._made:
            self.do("delete_function", FunctionName=name)
