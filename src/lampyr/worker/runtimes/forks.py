"""Whether a function may be forked from its runtime's template: a rule, and what it looks at.

A template is an interpreter that has started already. What its start depends on must not be what
a function configures, and what it has imported must not be what a function brings itself.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from lampyr.worker.runtimes.model import Runtime
from lampyr.worker.sandbox.base import TemplateSpec

_VARIABLES: Final = frozenset(
    {"AWS_LAMBDA_EXEC_WRAPPER", "LANG", "LANGUAGE", "OPENSSL_CONF", "OPENSSL_MODULES"}
)
_PREFIXES: Final = ("PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_")
"""Read by the interpreter, or by what loads it, before the first line of a program."""
_IMPORTED: Final = frozenset(sys.stdlib_module_names) | {
    "awslambdaric", "boto3", "botocore", "bootstrap", "dateutil", "jmespath", "lampyr_runtime",
    "lampyr_template", "runtime_client", "s3transfer", "six", "snapshot_restore_py", "spawner",
    "template", "urllib3",
}  # fmt: skip
"""More than any template has imported: the rule need not be told what that is."""


def may_fork(
    runtime: Runtime, configured: Mapping[str, str], modules: Iterable[str], *, layers: bool
) -> bool:
    """`modules` are the names of files and directories on top of the function's package."""
    if not runtime.template_argv or layers:
        return False
    if any(name in _VARIABLES or name.startswith(_PREFIXES) for name in configured):
        return False
    return not any(name.partition(".")[0] in _IMPORTED for name in modules)


def template_of(runtime: Runtime) -> TemplateSpec:
    """The template of a runtime that has one."""
    return TemplateSpec(
        name=f"{runtime.name} {runtime.version}",
        argv=runtime.template_argv,
        variables={
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime.name}",
            **runtime.variables,
        },
        mounts=runtime.mounts,
    )
