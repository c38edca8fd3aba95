"""Write docs/reference/operations.md from the service model and the handlers."""

import sys
from pathlib import Path
from typing import Final

from lampyr.api.operations import handlers
from lampyr.api.spec import Operation, service_model

TARGET: Final = Path(__file__).resolve().parent.parent / "docs" / "reference" / "operations.md"
AWS: Final = "https://docs.aws.amazon.com/lambda/latest/api"
HEAD: Final = """\
# Operations

This page is made from botocore's `lambda` model and the handlers by `tools/operations_table.py`.

Lampyr serves {served} of the {all} operations of the Lambda API. Each other one is answered
`ServiceException` with status 501 and a message that names it; no SDK tries that again, and none
takes it for a success. Options of a served operation that Lampyr does not honour are answered the
same way.

| operation | request | served |
|---|---|---|
"""


def table() -> str:
    operations = service_model().operations
    served = handlers(operations)
    head = HEAD.format(served=len(served), all=len(operations))
    return head + "".join(_row(one, name in served) for name, one in operations.items())


def _row(operation: Operation, served: bool) -> str:
    query = f"?{operation.query}" if operation.query else ""
    request = f"`{operation.method} {operation.path}{query}`"
    link = f"[{operation.name}]({AWS}/API_{operation.name}.html)"
    return f"| {link} | {request} | {'yes' if served else 'not yet'} |\n"


def main() -> int:
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
