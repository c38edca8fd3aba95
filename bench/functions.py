"""The functions that are measured, and how they get into a server that speaks Lambda's API."""

import contextlib
import io
import sysconfig
import time
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ROLE: Final = "arn:aws:iam::000000000000:role/bench"
ECHO: Final = "def handler(event, context):\n    return event\n"
HELLO: Final = 'def handler(event, context):\n    return {"hello": "world"}\n'
ECHO_NODE: Final = "exports.handler = async (event) => event;\n"
BOOTSTRAP: Final = """\
#!/bin/sh
cd "$LAMBDA_TASK_ROOT"
exec /usr/bin/python3 -m awslambdaric "$_HANDLER"
"""
STOCK_CLIENT: Final = ("awslambdaric", "simplejson")
MEMORY_MB: Final = 1_769
"""One whole core. At 128 MB a function has 7 % of one: that would be what is measured."""
ACTIVE_SECONDS: Final = 60.0


def api(port: int) -> Any:
    """A boto3 client as people make it, but that it does not try again."""
    return boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
    )


def path(name: str) -> str:
    return f"/2015-03-31/functions/{name}/invocations"


def package(files: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name == "bootstrap" else 0o644) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def stock_client_package() -> bytes:
    """The echo function on `provided.al2023` with AWS's runtime client as it is on PyPI."""
    site = Path(sysconfig.get_path("platlib"))
    files: dict[str, str | bytes] = {"bootstrap": BOOTSTRAP, "app.py": ECHO}
    for name in STOCK_CLIENT:
        for file in sorted((site / name).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                files[str(file.relative_to(site))] = file.read_bytes()
    for file in (site / "snapshot_restore_py.py", *site.glob("runtime_client.*.so")):
        files[file.name] = file.read_bytes()
    return package(files)


def create(
    client: Any,
    name: str,
    code: bytes,
    *,
    runtime: str,
    wait: bool = True,
    timeout: int = 30,
    variables: Mapping[str, str] | None = None,
) -> None:
    client.create_function(
        FunctionName=name,
        Runtime=runtime,
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": code},
        MemorySize=MEMORY_MB,
        Timeout=timeout,
        Environment={"Variables": dict(variables or {})},
    )
    if wait:
        wait_until_active(client, name)


def wait_until_active(client: Any, name: str) -> None:
    end = time.monotonic() + ACTIVE_SECONDS
    while time.monotonic() < end:
        configuration = client.get_function_configuration(FunctionName=name)
        state = configuration.get("State", "Active")
        if state == "Active":
            return
        if state != "Pending":
            raise RuntimeError(f"{name} is {state}: {configuration.get('StateReason')}")
        time.sleep(0.01)
    raise RuntimeError(f"{name} is not active after {ACTIVE_SECONDS} s")


def wait_until_updated(client: Any, name: str) -> None:
    end = time.monotonic() + ACTIVE_SECONDS
    while time.monotonic() < end:
        configuration = client.get_function_configuration(FunctionName=name)
        if configuration["LastUpdateStatus"] != "InProgress":
            return
        time.sleep(0.01)
    raise RuntimeError(f"{name} is not updated after {ACTIVE_SECONDS} s")


def create_many(port: int, names: list[str], code: bytes, *, runtime: str, end: float) -> int:
    """Create `names` with eight callers until `end` (monotonic); how many there are."""

    def work(part: list[str]) -> int:
        client = api(port)
        for at, name in enumerate(part):
            if time.monotonic() > end:
                return at
            create(client, name, code, runtime=runtime, wait=False)
        return len(part)

    parts = [names[first::8] for first in range(8)]
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(work, parts))
    client = api(port)
    for part, count in zip(parts, counts, strict=True):
        for name in part[:count][-1:]:
            wait_until_active(client, name)
    return sum(counts)


@contextlib.contextmanager
def not_there() -> Iterator[None]:
    """What a rival does not serve is not measured."""
    with contextlib.suppress(ClientError):
        yield
