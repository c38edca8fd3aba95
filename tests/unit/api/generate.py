"""Random values of the service model's shapes, for properties over all operations."""

import random
import string
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lampyr.api.spec import Operation, ServiceModel, Shape

TEXT = string.ascii_letters + string.digits + " -_.:/%+&=?#$@\"'\\<>{}[]äλ漢🐛\t"
HEADER_TEXT = string.ascii_letters + string.digits + "-_.:/+=$@"
DEPTH_MAX = 5


class Generator:
    def __init__(self, model: ServiceModel, seed: int) -> None:
        self.model = model
        self.dice = random.Random(seed)

    def input(self, operation: Operation, *, sparse: bool = False) -> dict[str, Any]:
        """An input as botocore's serializer takes it: right types, limits not looked at."""
        if operation.input is None:
            return {}
        return self._structure(self.model.shape(operation.input), 0, sparse=sparse)

    def output(self, operation: Operation) -> dict[str, Any]:
        if operation.output is None:
            return {}
        return self._structure(self.model.shape(operation.output), 0, sparse=False)

    def text(self, alphabet: str = TEXT, most: int = 12) -> str:
        return "".join(self.dice.choices(alphabet, k=self.dice.randint(1, most)))

    def value(self, name: str, depth: int = 0) -> Any:
        shape = self.model.shape(name)
        if shape.type == "structure":
            return self._structure(shape, depth, sparse=depth > 2)
        count = self.dice.randint(0, 3) if depth < DEPTH_MAX else 0
        if shape.type == "list":
            return [self.value(shape.item, depth + 1) for _ in range(count)]
        if shape.type == "map":
            return {self.value(shape.key): self.value(shape.item, depth + 1) for _ in range(count)}
        return self.dice.choice(shape.enum) if shape.enum else self._scalar(shape.type)

    def _scalar(self, kind: str) -> Any:
        dice = self.dice
        made: dict[str, Callable[[], Any]] = {
            "string": self.text,
            "integer": lambda: dice.choice([0, 1, -1, 2**31 - 1, -(2**31), dice.randint(0, 999)]),
            "long": lambda: dice.choice([0, 2**63 - 1, -(2**63), dice.randint(0, 10**12)]),
            "double": lambda: dice.choice([0.0, 0.1, 1.0, -2.5, 1e300, dice.random()]),
            "boolean": lambda: dice.random() < 0.5,
            "blob": lambda: dice.randbytes(dice.randint(1, 40)),
            "timestamp": lambda: datetime.fromtimestamp(dice.randint(0, 2**32), UTC),
        }
        return made[kind]()

    def _structure(self, shape: Shape, depth: int, *, sparse: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for member in shape.members.values():
            needed = member.name in shape.required or member.location == "uri"
            if not needed and self.dice.random() < (0.8 if sparse else 0.3):
                continue
            if depth >= DEPTH_MAX and not needed:
                continue
            kind = self.model.shape(member.shape)
            if member.location == "header" and kind.type == "string" and not kind.enum:
                found[member.name] = self.text(HEADER_TEXT)
            elif member.location == "statusCode":
                found[member.name] = self.dice.choice([200, 202])
            else:
                found[member.name] = self.value(member.shape, depth + 1)
        return found
