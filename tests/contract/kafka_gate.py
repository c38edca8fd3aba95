"""A gate before a Kafka broker: TLS, and SASL as a broker asks for it, then every byte as it comes.

The broker behind it is another program; what is checked here is what clients prove of themselves.

https://kafka.apache.org/protocol#sasl_handshake
https://www.rfc-editor.org/rfc/rfc5802
"""

import asyncio
import base64
import hashlib
import hmac
import ssl
import struct
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final

SASL_HANDSHAKE: Final = 17
SASL_AUTHENTICATE: Final = 36
AUTHENTICATION_FAILED: Final = 58
UNSUPPORTED_MECHANISM: Final = 33
ITERATIONS: Final = 4_096
SALT: Final = b"of the tests"
HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}

Steps = Generator[tuple[bytes, bool], bytes, None]


class RefusedError(Exception):
    """Who comes has not proved who it is."""


@dataclass(kw_only=True)
class Gate:
    """Listens on `port` of loopback; `mechanism` None lets in whom TLS lets in."""

    port: int
    broker: int
    tls: ssl.SSLContext
    mechanism: str | None = None
    user: str = "reader"
    password: str = "a secret"
    let_in: int = 0
    peers: list[object] = field(default_factory=list)
    """Names in the certificates of those who had one."""

    async def open(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, onward = await asyncio.open_connection("127.0.0.1", self.broker)
        try:
            if self.mechanism is not None:
                await _Sasl(self, reader, writer, behind, onward).run()
            self.let_in += 1
            if certificate := writer.get_extra_info("peercert"):
                self.peers.append(certificate["subjectAltName"])
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, onward))
                group.create_task(_pump(behind, writer))
        except* (OSError, asyncio.IncompleteReadError, RefusedError):
            pass
        finally:
            onward.close()
            writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
    sink.close()


@dataclass
class _Sasl:
    gate: Gate
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    behind: asyncio.StreamReader
    onward: asyncio.StreamWriter

    async def run(self) -> None:
        """Until the client is known; other requests are the broker's to answer."""
        steps = self._exchange()
        while True:
            frame = await _frame(self.reader)
            kind, version, number = struct.unpack(">hhi", frame[:8])
            body = _after_client_id(frame[8:])
            if kind == SASL_HANDSHAKE:
                asked = body[2 : 2 + struct.unpack(">h", body[:2])[0]].decode()
                if asked != self.gate.mechanism:
                    await self._answer(number, struct.pack(">hi", UNSUPPORTED_MECHANISM, 0))
                    raise RefusedError(asked)
                next(steps)
                await self._answer(number, struct.pack(">hi", 0, 1) + _text(asked))
            elif kind == SASL_AUTHENTICATE:
                try:
                    said, done = steps.send(body[4:])
                except RefusedError:
                    refusal = struct.pack(">h", AUTHENTICATION_FAILED) + _text(
                        "Authentication failed"
                    )
                    await self._answer(number, refusal + struct.pack(">i", 0) + _lifetime(version))
                    raise
                answer = struct.pack(">hhi", 0, -1, len(said)) + said
                await self._answer(number, answer + _lifetime(version))
                if done:
                    return
            else:
                self.onward.write(struct.pack(">i", len(frame)) + frame)
                answer = await _frame(self.behind)
                self.writer.write(struct.pack(">i", len(answer)) + answer)

    async def _answer(self, number: int, body: bytes) -> None:
        self.writer.write(struct.pack(">ii", len(body) + 4, number) + body)
        await self.writer.drain()

    def _exchange(self) -> Steps:
        """What is said to each message of the client, and whether it is known by then."""
        gate = self.gate
        if gate.mechanism == "PLAIN":
            message = yield b"", False
            if message.split(b"\0")[1:] != [gate.user.encode(), gate.password.encode()]:
                raise RefusedError("PLAIN")
            yield b"", True
            return
        algorithm = HASHES[str(gate.mechanism)]
        first = (yield b"", False).decode().removeprefix("n,,")
        told = dict(part.split("=", 1) for part in first.split(","))
        nonce = told["r"] + "theirs"
        challenge = f"r={nonce},s={base64.b64encode(SALT).decode()},i={ITERATIONS}"
        last = (yield challenge.encode(), False).decode()
        without, _, proof = last.rpartition(",p=")
        salted = hashlib.pbkdf2_hmac(algorithm, gate.password.encode(), SALT, ITERATIONS)
        spoken = f"{first},{challenge},{without}".encode()
        key = hmac.digest(salted, b"Client Key", algorithm)
        stored = hashlib.new(algorithm, key).digest()
        signature = hmac.digest(stored, spoken, algorithm)
        expected = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        if told["n"] != gate.user or base64.b64decode(proof) != expected:
            raise RefusedError("SCRAM")
        ours = hmac.digest(hmac.digest(salted, b"Server Key", algorithm), spoken, algorithm)
        yield b"v=" + base64.b64encode(ours), True


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def _after_client_id(data: bytes) -> bytes:
    (size,) = struct.unpack(">h", data[:2])
    return data[2 + max(size, 0) :]


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def _lifetime(version: int) -> bytes:
    """Of the session, as later versions tell it: without end."""
    return struct.pack(">q", 0) if version else b""
