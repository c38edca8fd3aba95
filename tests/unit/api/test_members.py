"""No operation leaves a member of its input out: each is looked at, if only to be refused."""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lampyr.api.call import Call
from lampyr.api.operations import handlers
from lampyr.api.spec import service_model
from lampyr.testing.builders import a_function, a_key
from lampyr.testing.control import running_control
from tests.unit.api.generate import Generator

ACCOUNT = "111111111111"
MODEL = service_model()
HANDLERS = handlers(MODEL.operations)
# Those that invoke need what is not here.
SERVED = [name for name in HANDLERS if not name.startswith("Invoke")]
TIMES = 400
"""At most: it ends when everything was looked at."""
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}"
KNOWN = {
    "FunctionName": "hello",
    "Resource": f"{ARN}:function:hello",
    "ResourceArn": f"{ARN}:function:hello",
    "CodeSigningConfigArn": f"{ARN}:code-signing-config:csc-0123456789abcdef0",
}
REFUSED_AS_A_WHOLE = {
    *("AcceleratorConfig", "CapacityProviderConfig", "DurableConfig", "FileSystemConfigs"),
    *("RuntimeConfig", "SchemaRegistryConfig", "VpcConfig"),
}
OF_OTHER_FUNCTIONS = {"FunctionScalingConfig"}
"""No function here is one whose scaling is configured: that is what is looked at."""


class Looked(dict[str, Any]):
    """Notes which of its members somebody asked for."""

    def __init__(self, value: dict[str, Any], place: str, found: set[str]) -> None:
        super().__init__({k: looked(v, f"{place}.{k}", found) for k, v in value.items()})
        self._place, self._found = place, found

    def get(self, key: str, default: Any = None) -> Any:
        self._found.add(f"{self._place}.{key}")
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self._found.add(f"{self._place}.{key}")
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._found.add(f"{self._place}.{key}")
        return super().__contains__(key)


def looked(value: Any, place: str, found: set[str]) -> Any:
    if isinstance(value, dict):
        return Looked(value, place, found)
    if isinstance(value, list):
        return [looked(item, place, found) for item in value]
    return value


def members(name: str, place: str = "") -> Iterator[str]:
    """Of a shape and the structures in it."""
    shape = MODEL.shape(name)
    if shape.type == "list":
        yield from members(shape.item, place)
    for member in shape.members.values() if shape.type == "structure" else ():
        if member.name not in OF_OTHER_FUNCTIONS:
            yield f"{place}.{member.name}"
            if member.name not in REFUSED_AS_A_WHOLE:
                yield from members(member.shape, f"{place}.{member.name}")


@pytest.mark.parametrize("name", SERVED)
async def test_every_member_of_the_input_is_looked_at(name: str) -> None:
    operation = MODEL.operations[name]
    expected = set(members(operation.input)) if operation.input else set()
    generate = Generator(MODEL, seed=1)
    found: set[str] = set()
    async with running_control() as control:
        await control.store.functions.create(a_function(a_key(account_id=ACCOUNT)))
        services = SimpleNamespace(
            control=control.plane, store=control.store, clock=control.clock, download_secret=b"x"
        )
        call = Call(
            request_id="id",
            account_id=ACCOUNT,
            region="us-east-1",
            base_url="",
            services=cast("Any", services),
        )
        for number in range(TIMES):
            given = generate.input(operation, sparse=number % 4 != 0)
            given |= {name: value for name, value in KNOWN.items() if name in given}
            # Nothing was validated: what an operation makes of it does not matter here.
            with contextlib.suppress(Exception):
                await HANDLERS[name](call, Looked(given, "", found))
            if expected <= found:
                break
    assert expected - found == set()
