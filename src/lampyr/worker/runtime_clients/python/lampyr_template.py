"""A template of this Python: loads what no function changes, and is forked for each that starts.

What a fork finds differs from a plain start in nothing that a function is promised: `sys.path`,
`__main__`, the environment and the random numbers are its own. More modules are in `sys.modules`;
a function whose own modules have such a name is not started from here.

Works on Python 3.10 to 3.14.
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

# ruff: noqa: PLC0415 - what is imported, and when, is what this module is about

import contextlib
import gc
import os
import sys
from typing import Any

import lampyr_parked  # type: ignore[import-not-found]
import lampyr_runtime  # type: ignore[import-not-found]

_SOURCES = "/mnt"
_TASK = "/var/task"
_SPENT: list[object] = []


def main() -> None:
    gc.disable()
    search = lampyr_runtime.load()
    bare = _resident()
    if sys.argv[1] == "sdk":
        import lampyr_sdk  # type: ignore[import-not-found]

        lampyr_sdk.load()
        del sys.modules["lampyr_sdk"]
    _serve(search, {"bare_bytes": bare, "bytes": _resident()})
    _begin(search)


def park() -> None:
    """The same without a template."""
    gc.disable()
    search = lampyr_runtime.load()
    gc.freeze()
    _begin(search)


def _begin(search: tuple[str, list[str], list[str]]) -> None:
    """From here on this is the process of a function."""
    gc.enable()
    if lampyr_parked.VARIABLE in os.environ:
        lampyr_parked.wait(lambda: _rehearse(search))
    del sys.modules["lampyr_parked"]
    _refresh()
    try:
        lampyr_runtime.run(search)
    except SystemExit as end:
        _exit(end.code)


def _exit(code: object) -> None:
    """End as the interpreter does, but that nothing is taken apart.

    That would write to every page that is shared with the template: seconds, at a small CPU share.
    """
    import atexit
    import threading

    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # Whatever the function has put there.
            stream.flush()
    os._exit((code or 0) & 0xFF)


def _serve(search: tuple[str, list[str], list[str]], about: dict[str, object]) -> None:
    """Return in a fork."""
    sys.path.append(_SOURCES)
    from spawner import fork  # type: ignore[import-not-found]

    sys.path.remove(_SOURCES)
    sys.path_importer_cache.pop(_SOURCES, None)
    # Found here, not in the fork: to look at each of 800 names is to copy 200 pages.
    ours = [name for name in sys.modules if name.partition(".")[0] == "spawner"]
    forge = fork.Forge(about)
    import lampyr_lasting  # type: ignore[import-not-found]
    import lampyr_text  # type: ignore[import-not-found]

    del sys.modules["lampyr_lasting"], sys.modules["lampyr_text"]
    lampyr_text.enlarge_pages()
    for _ in range(fork.REHEARSALS):
        _rehearse(search)
    # Found at once where the function's code will be: here that is a directory, too.
    sys.path_importer_cache[_TASK] = sys.path_hooks[-1](_TASK)
    gc.collect()
    lampyr_lasting.make_lasting()
    _SPENT.append(lampyr_lasting.filled_gaps())
    gc.freeze()
    # Kept as they are: to take them apart would copy the pages that they are in.
    _SPENT.extend(map(sys.modules.pop, ours))
    forge.serve()


def _rehearse(search: tuple[str, list[str], list[str]]) -> None:
    def start() -> None:
        _refresh()
        lampyr_runtime.run(search)

    lampyr_parked.rehearse(start)


def _refresh() -> None:
    """What was read from the environment or the clock when modules were imported."""
    import importlib
    import logging
    import time

    from awslambdaric import bootstrap  # type: ignore[import-untyped]

    environ = os.environ
    form = bootstrap.LogFormat.from_str(environ.get("AWS_LAMBDA_LOG_FORMAT"))
    level = bootstrap._get_log_level_from_env_var(environ.get("AWS_LAMBDA_LOG_LEVEL"))
    bootstrap._AWS_LAMBDA_LOG_FORMAT, bootstrap._AWS_LAMBDA_LOG_LEVEL = form, level
    if form == bootstrap.LogFormat.JSON:
        # Which of its functions write an error was chosen while it was imported.
        importlib.reload(bootstrap)
    in_nanoseconds = isinstance(logging._startTime, int)  # type: ignore[attr-defined]
    logging._startTime = time.time_ns() if in_nanoseconds else time.time()  # type: ignore[attr-defined]
    # The SDK asks for it to name itself, and the name of the host is in it.
    platform: Any = sys.modules.get("platform")
    if platform is not None:
        platform._uname_cache = None
        platform._platform_cache.clear()
    # OpenSSL tells a fork by the number of its process, which may be any.
    if "_ssl" in sys.modules:
        sys.modules["_ssl"].RAND_add(os.urandom(32), 32.0)
    script = os.path.join(os.path.dirname(__file__), "bootstrap.py")  # noqa: PTH118, PTH120
    sys.argv[:] = [script]
    sys.modules["__main__"].__file__ = script


def _resident() -> int:
    """Bytes of memory, at the most so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
