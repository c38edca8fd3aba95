"""A sandbox of the spawner's, from its start until nothing is left of it."""

import os


class Running:
    """A sandbox whose first process lives, or is being made."""

    def __init__(self, name: str, status: int, oom: "int | None") -> None:
        self.name = name
        self.pid = -1
        self.status = status
        """Where `init` says how the function ended."""
        self.oom = oom
        self.out_of_memory = False

    def handed_on(self, descriptors: "list[int]", status: int) -> "list[int]":
        """What whoever makes calls gets, in order; `status` is the end that `init` writes to."""
        report, output, telemetry, *more = descriptors
        oom = [] if self.oom is None else [self.oom]
        return [report, output, telemetry, status, *more, *oom]

    def close(self) -> None:
        os.close(self.status)
        if self.oom is not None:
            os.close(self.oom)
