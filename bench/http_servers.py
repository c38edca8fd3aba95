"""An ASGI server beside a bare protocol, for the decision how Lampyr serves HTTP (ADR 0008).

python -m bench.http_servers        five rounds in turn, 16 connections
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.client import Connection, Series, Target, call_for, wrk
from bench.rivals import python_environment
from bench.servers import Server, free_port

ROUNDS = 5
CONNECTIONS = 16
PATH = "/2015-03-31/functions/echo/invocations"


def main() -> None:
    python = python_environment()
    root = Path(__file__).parent.parent
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = {"uvicorn": free_port(), "raw": free_port()}
        uvicorn = [python, "-m", "uvicorn", "bench.echo:application", "--no-access-log"]
        uvicorn += ["--loop", "uvloop", "--http", "httptools", "--lifespan", "off"]
        uvicorn += ["--log-level", "warning", "--port", str(ports["uvicorn"])]
        argv = {"uvicorn": uvicorn, "raw": [python, "-m", "bench.echo", "raw", str(ports["raw"])]}
        for name, port in ports.items():
            server = Server(
                name, argv[name], port=port, health="/", log=logs / f"{name}.log", cwd=root
            )
            stack.enter_context(server)
        many = {name: Series() for name in ports}
        one = {name: Series() for name in ports}
        for _ in range(ROUNDS):
            for name, port in ports.items():
                target = Target(port=port, path=PATH)
                wrk(target, CONNECTIONS, 3, many[name])
                with Connection(target) as connection:
                    one[name].add(call_for(connection, 1.0))
    for name in ports:
        series, alone = many[name], one[name]
        print(
            f"{name:8} {series.p50:8.0f} requests/s at {CONNECTIONS} connections, "
            f"p99 {series.p99 * 1e3:.2f} ms, failed {series.failed}; "
            f"one caller p50 {alone.p50 * 1e6:.1f} µs, p99 {alone.p99 * 1e6:.1f} µs"
        )


if __name__ == "__main__":
    main()
