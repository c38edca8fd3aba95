"""Whether a function may take over an interpreter that has started already: rules.

It is forked from a template, or is told to a process that waits. What the interpreter's start
depends on must not be what a function configures, and what it has imported must not be what a
function brings itself.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from lampyr.worker.runtimes.model import Runtime
from lampyr.worker.sandbox.base import ParkSpec, TemplateSpec

_VARIABLES: Final = frozenset(
    {
        "AWS_LAMBDA_EXEC_WRAPPER", "AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA",
        "AWS_LAMBDA_RUNTIME_VERBOSE", "LANG", "LANGUAGE", "OPENSSL_CONF", "OPENSSL_MODULES",
    }
)  # fmt: skip
_PREFIXES: Final = (
    "PYTHON", "NODE_", "UV_", "SSL_", "ICU_", "LD_", "LC_", "MALLOC_", "GLIBC_",
)  # fmt: skip
"""Read by the interpreter, or by what loads it, before the first line of a program.

Two of them AWS's client for Node.js reads while it is loaded.
"""
_IMPORTED: Final = frozenset(sys.stdlib_module_names) | {
    "awslambdaric", "boto3", "botocore", "bootstrap", "dateutil", "jmespath", "lampyr_lasting",
    "lampyr_parked", "lampyr_rehearsal", "lampyr_runtime", "lampyr_sandbox", "lampyr_sdk",
    "lampyr_snapshot", "lampyr_snapshot_descriptors", "lampyr_template", "lampyr_text", "parked",
    "runtime_client", "s3transfer", "six", "snapshot_restore_py", "spawner", "template", "urllib3",
}  # fmt: skip
"""More than any template has imported: the rule need not be told what that is."""


def may_fork(
    runtime: Runtime, configured: Mapping[str, str], modules: Iterable[str], *, libraries: bool
) -> bool:
    """`modules` are the names of files and directories where the function's modules are.

    `libraries`: it has some in `/var/task/lib` or `/opt/lib`. The template's loader has looked
    there before, and does not look again where there was no directory.
    """
    if not runtime.template_argv or libraries or not _starts_as_any(configured):
        return False
    return not any(name.partition(".")[0] in _IMPORTED for name in modules)


def park_of(
    runtime: Runtime,
    argv: tuple[str, ...],
    configured: Mapping[str, str],
    template: TemplateSpec | None,
    *,
    sdk: bool = False,
) -> ParkSpec | None:
    """What may be started ahead of a function that will be started by `argv`.

    `template`: what it may be forked from, where its runtime has one. `sdk`: whether it is likely
    to make a client of the AWS SDK.
    """
    if not runtime.park_script or not _starts_as_any(configured):
        return None
    variables = _of_all(runtime)
    if runtime.template_argv:
        if template is None:
            return None
        variables["_LAMPYR_PARKED"] = "sdk" if sdk else "plain"
    return ParkSpec(argv=(*argv[:-1], runtime.park_script), variables=variables, template=template)


def _starts_as_any(configured: Mapping[str, str]) -> bool:
    return not any(name in _VARIABLES or name.startswith(_PREFIXES) for name in configured)


def template_of(runtime: Runtime, *, sdk: bool) -> TemplateSpec:
    """The template of a runtime that has one; `sdk`: with the AWS SDK loaded.

    Without, it is a third as large, and so is what every fork costs.
    """
    kind = "sdk" if sdk else "plain"
    return TemplateSpec(
        name=f"{runtime.name} {runtime.version} {kind}",
        argv=(*runtime.template_argv, kind),
        # What the loader would look up when it is first called, it would look up in each fork.
        variables={**_of_all(runtime), "LD_BIND_NOW": "1"},
        mounts=runtime.mounts,
    )


def _of_all(runtime: Runtime) -> dict[str, str]:
    """What is in the environment of every function of a runtime."""
    return {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime.name}",
        **runtime.variables,
    }
