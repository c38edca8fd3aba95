"""Plans of callers who sign: their heads differ each time, in nothing that matters to a call.

Where a head has no headers but those named here, its plan follows from method, path, query, `Host`,
`X-Amz-Invocation-Type` and the credential that the signature names. It is made once, then, by
those. What is planned is an invocation (`warm.py`) or something to read (`reads.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from lampyr.http1 import Request

T = TypeVar("T")

KINDS_MAX: Final = 256
_NAMES_MAX: Final = 24

_HOST: Final = b"host"
_AUTHORIZATION: Final = b"authorization"
_TYPE: Final = b"x-amz-invocation-type"
_INDIFFERENT: Final = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"amz-sdk-invocation-id",
        b"amz-sdk-request",
        b"connection",
        b"content-length",
        b"content-type",
        b"user-agent",
        b"x-amz-content-sha256",
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-amz-user-agent",
    }
)
"""Headers that nothing between the front door and an invocation looks at."""
_SIGNED: Final = b"AWS4-HMAC-SHA256 Credential="

Key = tuple[str, str, str, bytes, bytes, bytes]


class _Kind(NamedTuple):
    """Heads with the same names of headers, spelt in the same way."""

    host: bytes
    authorization: bytes
    invocation_type: bytes | None


class Plans(Generic[T]):
    def __init__(self, plans_max: int) -> None:
        """`plans_max` are kept; then all are forgotten."""
        self._plans_max = plans_max
        self._plans: dict[Key, T] = {}
        self._kinds: dict[tuple[bytes, ...], _Kind | None] = {}

    def key(self, request: Request) -> Key | None:
        """What the plan of a request follows from; None where it may follow from more."""
        fields = request.fields
        names = tuple(fields)
        if names not in self._kinds:
            self._learn(names)
        kind = self._kinds[names]
        if kind is None:
            return None
        authorization = fields[kind.authorization]
        credential, _, rest = authorization.partition(b",")
        signed = b"Signature=" in rest and b"SignedHeaders=" in rest
        if not signed or not credential.startswith(_SIGNED) or "X-Amz-" in request.query:
            return None
        host, name = fields[kind.host], kind.invocation_type
        invocation_type = b"" if name is None else fields[name]
        return request.method, request.path, request.query, host, credential, invocation_type

    def get(self, key: Key) -> T | None:
        return self._plans.get(key)

    def keep(self, key: Key, plan: T) -> None:
        if len(self._plans) >= self._plans_max:
            self._plans.clear()
        self._plans[key] = plan

    def _learn(self, names: tuple[bytes, ...]) -> None:
        if len(self._kinds) >= KINDS_MAX:
            self._kinds.clear()
        self._kinds[names] = _kind(names)


def _kind(names: tuple[bytes, ...]) -> _Kind | None:
    spelt = {name.lower(): name for name in names}
    if len(names) > _NAMES_MAX or len(spelt) < len(names):
        return None
    if not spelt.keys() - {_HOST, _AUTHORIZATION, _TYPE} <= _INDIFFERENT:
        return None
    if _HOST not in spelt or _AUTHORIZATION not in spelt:
        return None
    return _Kind(spelt[_HOST], spelt[_AUTHORIZATION], spelt.get(_TYPE))
