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

    def close(self) -> None:
        os.close(self.status)
        if self.oom is not None:
            os.close(self.oom)
