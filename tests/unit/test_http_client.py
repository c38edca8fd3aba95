"""The HTTP client: long answers come piece by piece, and whoever reads them sets the pace."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from lampyr.http_client import AHEAD_BYTES, WHOLE_BYTES, Answer, HttpClient, HttpError, Target
from lampyr.testing.clock import ManualClock

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Get = Callable[[], Awaitable[Answer]]


@asynccontextmanager
async def client(path: Path, serve: Serve) -> AsyncGenerator[Get]:
    """Ask a server of the test's own; its connections are counted by `serve` itself."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readline():
                while (await reader.readline()).strip():
                    pass
                await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(accept, str(path / "s"))
    http = HttpClient(ManualClock())
    target = Target(socket=str(path / "s"))
    try:
        yield lambda: http.request(target, "GET", "/", (), b"", timeout_seconds=60, streams=True)
    finally:
        await http.close()
        server.close()


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", *lines, "")).encode()


async def read(answer: Answer) -> bytes:
    assert answer.stream is not None
    async with aclosing(answer.stream) as stream:
        return b"".join([piece async for piece in stream])


async def test_a_long_answer_is_streamed_and_its_connection_used_again(tmp_path: Path) -> None:
    body = bytes(range(256)) * (AHEAD_BYTES // 64)
    connections = set()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(id(writer))
        writer.write(head(f"content-length: {len(body)}") + body)
        await writer.drain()

    async with client(tmp_path, serve) as get:
        assert await read(await get()) == body
        assert await read(await get()) == body
        short = await get()
        assert short.stream is not None
        await short.stream.aclose()  # Not read to its end: this connection is not used again.
        assert await read(await get()) == body
    assert len(connections) == 2


async def test_what_comes_in_chunks_is_there_before_the_end(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("transfer-encoding: chunked") + b"3\r\none\r\n")
        await go_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with client(tmp_path, serve) as get:
        stream = (await get()).stream
        assert stream is not None
        assert await anext(stream) == b"one"
        go_on.set()
        assert b"".join([piece async for piece in stream]) == b"two"


async def test_a_short_answer_and_one_without_a_body_are_whole(tmp_path: Path) -> None:
    answers = iter([head("content-length: 2") + b"hi", b"HTTP/1.1 204 No Content\r\n\r\n"])

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))

    async with client(tmp_path, serve) as get:
        first, second = await get(), await get()
    assert (first.body, first.stream) == (b"hi", None)
    assert (second.status, second.body, second.stream) == (204, b"", None)


async def test_an_answer_that_breaks_off_is_an_error_after_what_came(tmp_path: Path) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head(f"content-length: {WHOLE_BYTES + 1}") + b"begun")
        await writer.drain()
        writer.close()

    async with client(tmp_path, serve) as get:
        stream = (await get()).stream
        assert stream is not None
        assert await anext(stream) == b"begun"
        with pytest.raises(HttpError, match="broke off"):
            await anext(stream)
