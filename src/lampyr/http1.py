"""HTTP/1.1 for servers: what a connection received, and what it answers."""

from collections.abc import Sequence


class Request:
    """One request. `path` is as sent (percent-encoded) and without the query."""

    __slots__ = ("body", "headers", "keep_alive", "method", "path", "query", "trailers")

    def __init__(self, method: str, path: str, query: str, headers: dict[str, str]) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        """Names in lower case; repeated headers joined by a comma."""
        self.body = b""
        self.trailers: dict[str, str] = {}
        self.keep_alive = True


class Response:
    """One answer. `content-length`, `date` and `connection` are the connection's to add."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
