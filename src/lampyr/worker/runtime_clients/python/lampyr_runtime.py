"""Starts AWS's Python runtime client (`awslambdaric`) on Lampyr's own Runtime API client.

The interpreter was started with `-S`: `site` costs more than a millisecond of every cold start to
find what is known here. What it would have made is made below. While the runtime's own modules are
imported the standard library comes first and the function's directories are not searched at all,
so a function's `json.py` cannot break the runtime; `sys.path` is then laid out as on AWS.

Works on Python 3.10 to 3.14.
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

# ruff: noqa: PLC0415 - what is imported, and when, is what this module is about

import gc
import os
import sys

TYPE_CHECKING = False  # The module `typing` would take longer than all of this.

if TYPE_CHECKING:
    from collections.abc import Callable

_PLAIN = frozenset({str, int, float, bool, type(None)})


def main() -> None:
    gc.disable()
    snapshot = os.environ.pop("_LAMPYR_SNAPSHOT_FD", None)
    search = load()
    restore_next = None
    if snapshot is not None:
        import lampyr_snapshot  # type: ignore[import-not-found]

        restore_next = lampyr_snapshot.Snapshot(int(snapshot)).restore_next
    # What is there now is there to stay: collections need not go through it.
    gc.freeze()
    gc.enable()
    run(search, restore_next)


def load() -> tuple[str, list[str], list[str]]:
    """Import the runtime client; what `sys.path` is to be made of: see `_search_path`."""
    runtime = sys.path.pop(0)
    chosen = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    library = [path for path in sys.path if path not in chosen]
    sys.path[:] = [*library, runtime]

    from awslambdaric import (  # type: ignore[import-untyped]
        bootstrap,  # noqa: F401 - imported here, used in `run`
        lambda_literals,  # noqa: F401 - of which every start of `bootstrap` takes a text
        lambda_runtime_client,
    )

    _make_builtins()
    _make_marshaller(lambda_runtime_client)
    # The function may bring another version of it; the runtime keeps its own.
    for name in [name for name in sys.modules if name.partition(".")[0] == "simplejson"]:
        del sys.modules[name]
    return runtime, chosen, library


def run(
    search: tuple[str, list[str], list[str]],
    restore_next: "Callable[[], None] | None" = None,
) -> None:
    """Serve the function that the environment tells of, to its end.

    `restore_next`: instead of asking the platform, return when this process has been restored.
    """
    from awslambdaric import bootstrap, lambda_runtime_client

    runtime, chosen, library = search
    sys.path[:] = _search_path(runtime, chosen, library)
    if chosen != [runtime]:
        _customize()
    if "AWS_LAMBDA_MAX_CONCURRENCY" in os.environ:
        from awslambdaric.__main__ import (  # type: ignore[import-untyped]
            main as multi_concurrent,
        )

        multi_concurrent([__file__, os.environ["_HANDLER"]])
    else:
        # Without a thread for each `next`: a wait in Python's own recv() lets signals through.
        client = lambda_runtime_client.LambdaRuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"])
        if restore_next is not None:
            client.restore_next = restore_next
        bootstrap.run(os.environ["_HANDLER"], client)


def _search_path(runtime: str, chosen: list[str], library: list[str]) -> list[str]:
    """`sys.path` in AWS's order; a PYTHONPATH of the function's own stands where AWS's would."""
    packages = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    # Elsewhere only where a driver without mounts said so.
    layers = os.environ.pop("_LAMPYR_OPT", "/opt")
    return [
        os.environ.get("LAMBDA_TASK_ROOT", "/var/task"),
        f"{layers}/python/{packages}",
        f"{layers}/python",
        *chosen,
        *([] if runtime in chosen else [runtime]),
        *library,
        f"{sys.base_prefix}/{packages}",
    ]


def _make_builtins() -> None:
    """`exit`, `quit` and `help`, which `site` would have made and some functions call."""
    import builtins
    from _sitebuiltins import Quitter, _Helper

    builtins.exit = Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.help = _Helper()


def _customize() -> None:
    """Monitoring tools hook in through a `sitecustomize` on a PYTHONPATH of their own."""
    import importlib.util

    for name in ("sitecustomize", "usercustomize"):
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)


def _make_marshaller(lambda_runtime_client: object) -> None:
    """Let the standard library's C code do the JSON wherever it gives the very same bytes.

    awslambdaric uses simplejson, whose C part would have to be compiled for every version of
    Python. It stays in charge of everything that is not made of plain values alone (named tuples,
    Decimal, bytes, subclasses …) and of every error, so that its answers are AWS's. A marshaller
    is what awslambdaric lets be replaced; a function may still replace this one.
    """
    from json.decoder import JSONDecoder
    from json.encoder import JSONEncoder

    from awslambdaric.lambda_runtime_marshaller import (  # type: ignore[import-untyped]
        LambdaMarshaller,
    )

    decode = JSONDecoder(parse_constant=_refuse).decode

    class Marshaller(LambdaMarshaller):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            ascii_only = self.jsonEncoder.ensure_ascii
            self._encode = JSONEncoder(ensure_ascii=ascii_only, check_circular=False).encode

        def unmarshal_request(
            self, request: bytes, content_type: str | None = "application/json"
        ) -> object:
            if content_type == "application/json":
                try:
                    return decode(request.decode())
                except (RecursionError, ValueError):
                    pass
            return super().unmarshal_request(request, content_type)

        def marshal_response(self, response: object) -> tuple[str | bytes, str]:
            try:
                if _is_plain(response):
                    return self._encode(response), "application/json"
            except (RecursionError, ValueError):
                pass
            encoded: tuple[str | bytes, str] = super().marshal_response(response)
            return encoded

    lambda_runtime_client.BaseLambdaRuntimeClient.marshaller = Marshaller()  # type: ignore[attr-defined]


def _refuse(constant: str) -> object:
    """NaN and the infinities are not JSON: simplejson says so in its words."""
    raise ValueError(constant)


def _is_plain(value: object) -> bool:
    """Made of nothing but str, int, float, bool, None, lists, tuples, and dicts with str keys."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str or not (type(item) in _PLAIN or _is_plain(item)):
                return False
        return True
    if kind is list or kind is tuple:
        return all(type(item) in _PLAIN or _is_plain(item) for item in value)  # type: ignore[attr-defined]
    return False
