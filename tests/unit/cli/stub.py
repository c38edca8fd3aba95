"""A server that answers like Lambda for one client at a time, from memory, and can be silenced."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

ARN: Final = "arn:aws:lambda:us-east-1:000000000000:function:"
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Stub:
    """`functions` by name; `answers` of Invoke by name; `log` as pages of `/_lampyr/logs`."""

    functions: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, Any], bytes]] = field(default_factory=list)
    """Method, path, query and body of each request."""
    polls_until_active: int = 2
    fails_with: str | None = None
    drop_next: int = 0
    """So many requests are cut off without an answer."""
    url: str = ""

    def answer(self, method: str, path: str, query: dict[str, Any], body: bytes) -> Answer:
        self.seen.append((method, path, query, body))
        if match := re.fullmatch(r"/_lampyr/logs/([^/]+)", path):
            return self._logs(match[1], query)
        match = re.fullmatch(r"/2015-03-31/functions/?([^/]*)/?(.*)", path)
        assert match, path
        name = unquote(match[1]).rpartition(":")[2]
        if method == "POST" and match[2] == "invocations":
            return self.answers[name]
        if method == "GET" and not name:
            return _json(200, {"Functions": list(self.functions.values())})
        if method == "POST" and not name:
            return self._create(json.loads(body))
        return self._one(method, name, match[2], body)

    def _one(self, method: str, name: str, what: str, body: bytes) -> Answer:
        if name not in self.functions:
            return _missing(name)
        if method == "DELETE":
            del self.functions[name]
            return 204, {}, b""
        if method == "PUT":
            return self._update(name, json.loads(body), what)
        return self._poll(name)

    def _create(self, members: dict[str, Any]) -> Answer:
        name = members["FunctionName"]
        code = base64.b64decode(members.pop("Code")["ZipFile"])
        self.functions[name] = {
            "FunctionArn": ARN + name,
            "Version": "$LATEST",
            "LastModified": "2026-11-21T03:00:00.000+0000",
            "Architectures": ["x86_64"],
            "MemorySize": 128,
            "Timeout": 3,
            **members,
            **_code(code),
            "State": "Pending",
        }
        return _json(201, self.functions[name])

    def _update(self, name: str, members: dict[str, Any], what: str) -> Answer:
        function = self.functions[name]
        if what == "code":
            function |= _code(base64.b64decode(members.pop("ZipFile")))
        function |= {**members, "LastUpdateStatus": "InProgress"}
        return _json(200, function)

    def _poll(self, name: str) -> Answer:
        function = self.functions[name]
        self.polls_until_active -= (
            "InProgress" in function.values() or "Pending" in function.values()
        )
        if self.polls_until_active <= 0:
            function |= {"State": "Active", "LastUpdateStatus": "Successful"}
            if self.fails_with:
                function |= {"State": "Failed", "StateReason": self.fails_with}
                function |= {"StateReasonCode": "InvalidRuntime"}
        return _json(200, function)

    def _logs(self, name: str, query: dict[str, Any]) -> Answer:
        if name not in self.functions:
            return _missing(name)
        start = int(query.get("cursor", ["0"])[0])
        since = int(query["since_ms"][0])
        events = [e for e in self.log[start : start + 2] if e["timestamp"] >= since]
        end = min(start + 2, len(self.log))
        return _json(200, {"events": events, "cursor": str(end)})


def _code(package: bytes) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.sha256(package).digest()).decode()
    return {"CodeSha256": digest, "CodeSize": len(package)}


def _json(status: int, body: Any, **headers: str) -> Answer:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode()


def _missing(name: str) -> Answer:
    message = {"Type": "User", "Message": f"Function not found: {ARN}{name}"}
    status, headers, body = _json(404, message)
    return status, {**headers, "x-amzn-ErrorType": "ResourceNotFoundException"}, body


def serve(stub: Stub) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            parts = urlsplit(self.path)
            if stub.drop_next:
                stub.drop_next -= 1
                self.close_connection = True
                return
            status, headers, answer = stub.answer(
                self.command, parts.path, parse_qs(parts.query), body
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("x-amzn-RequestId", "request-1")
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_DELETE = respond  # noqa: N815 - names of the base class

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - same
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    return server
