"""The programs Lampyr is measured beside, in an environment of the benchmark's own.

ministack (Python; runs functions as local worker processes when there is no Docker) and
serverless-offline (Node; runs Python functions in a child process, Node functions in worker
threads). Neither isolates a function. And AWS's own Runtime Interface Emulator, which is in the
package of SAM's command: one function, one call at a time, with the runtime client as it is on
PyPI, no isolation.
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.servers import Server, free_port

ROOT: Final = Path(__file__).parent
ENVIRONMENT: Final = ROOT / ".env"
INSTALL_SECONDS: Final = 300
NPM_PACKAGES: Final = ("serverless@3.40.0", "serverless-offline@13.9.0")
"""The last serverless that is complete in its package, and the last serverless-offline for it."""
SAM: Final = "aws-sam-cli==1.170.0"
EMULATOR: Final = "AWS's emulator"


def python_environment() -> str:
    """The path of a Python that has the dependency group `bench`; made where it is missing."""
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())
    wanted = sorted(project["dependency-groups"]["bench"])
    python = ENVIRONMENT / "python" / "bin" / "python"
    with _missing("python", wanted) as missing:
        if missing:
            _say("installing rivals from PyPI: " + ", ".join(wanted))
            _run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT / "python")])
            _run([str(python), "-m", "pip", "install", "--quiet", *wanted])
    return str(python)


def serverless_environment() -> Path:
    """The directory whose node_modules has serverless-offline; made where it is missing."""
    directory = ENVIRONMENT / "node"
    with _missing("node", list(NPM_PACKAGES)) as missing:
        if missing:
            _say("installing rivals from npm: " + ", ".join(NPM_PACKAGES))
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "package.json").write_text('{"private": true}\n')
            install = ["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", "--no-save"]
            _run([*install, *NPM_PACKAGES], cwd=directory)
    return directory


def emulator() -> Path:
    """AWS's Runtime Interface Emulator; got where it is missing."""
    directory = ENVIRONMENT / "emulator"
    machine = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    program = directory / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{machine}"
    with _missing("emulator", [SAM]) as missing:
        if missing:
            _say(f"getting {EMULATOR} from PyPI: {SAM}")
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
            _run([*install, "--target", str(directory), SAM])
            program.chmod(0o755)
    return program


def ministack(work: Path) -> Server:
    port = free_port()
    program = Path(python_environment()).with_name("ministack")
    return Server(
        "ministack",
        [str(program)],
        port=port,
        health="/_ministack/health",
        log=work / "ministack.log",
        variables={"GATEWAY_PORT": str(port), "HOME": str(work), "LOG_LEVEL": "WARNING"},
        cwd=work,
    )


def runtime_interface_emulator(work: Path, source: str, python: Path) -> Server:
    """With one function, whose module is `source`; `python` has awslambdaric."""
    (work / "app.py").write_text(source)
    port = free_port()
    argv = [str(emulator()), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    argv += ["--runtime-api-address", f"127.0.0.1:{free_port()}"]
    return Server(
        EMULATOR,
        [*argv, str(python), "-m", "awslambdaric", "app.handler"],
        port=port,
        health="/",
        any_answer=True,
        log=work / "emulator.log",
        variables={"LAMBDA_TASK_ROOT": str(work), "AWS_LAMBDA_FUNCTION_TIMEOUT": "30"},
        cwd=work,
    )


def serverless_offline(
    work: Path, functions: Mapping[str, tuple[str, str]], python: Path
) -> Server:
    """`functions`: name → runtime and handler. The sources lie in `work`; `python` runs them."""
    environment = serverless_environment()
    lines = ["service: bench", 'frameworkVersion: "3"', "configValidationMode: off"]
    lines += ["provider: {name: aws, runtime: python3.11, stage: dev, region: us-east-1}"]
    lines += ["plugins: [serverless-offline]", "functions:"]
    lines += [
        f"  {name}: {{handler: {handler}, runtime: {runtime}}}"
        for name, (runtime, handler) in functions.items()
    ]
    (work / "serverless.yml").write_text("\n".join(lines) + "\n")
    (work / "package.json").write_text('{"private": true}\n')
    modules = work / "node_modules"
    if not modules.exists():
        modules.symlink_to(environment / "node_modules")
    port = free_port()
    program = environment / "node_modules" / ".bin" / "serverless"
    argv = [str(program), "offline", "start", "--noPrependStageInUrl"]
    argv += ["--lambdaPort", str(port), "--httpPort", str(free_port())]
    return Server(
        "serverless-offline",
        argv,
        port=port,
        health="/",
        any_answer=True,
        log=work / "serverless-offline.log",
        variables={
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "HOME": str(work),
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "SLS_INTERACTIVE_SETUP_ENABLE": "0",
            "SLS_NOTIFICATIONS_MODE": "off",
            "SLS_TELEMETRY_DISABLED": "1",
        },
        cwd=work,
    )


@contextmanager
def _missing(name: str, wanted: list[str]) -> Iterator[bool]:
    """Whether this is not installed yet; it is, once the block has ended without an error."""
    stamp = ENVIRONMENT / f"{name}.installed"
    missing = not stamp.exists() or json.loads(stamp.read_text()) != wanted
    yield missing
    if missing:
        stamp.write_text(json.dumps(wanted))


def _run(argv: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(
        argv, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:4])} failed: {done.stderr[-1000:]}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
