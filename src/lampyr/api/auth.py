"""Who calls: the account and the Region that a request's credentials and signature name.

Signatures are not verified in this release: whoever reaches the port is let in, as the account
that the access key says. `SignatureAuth.caller` is where verification belongs when it comes; it
has all that a check needs, before any operation sees the call.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from lampyr.api.router import parse_query
from lampyr.errors import IncompleteSignatureException

DEFAULT_ACCOUNT: Final = "000000000000"
KNOWN_MAX: Final = 1_024
"""Credentials that are remembered; then all are forgotten."""

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_REGION: Final = re.compile(r"[a-z]{2,5}(-[a-z]+)+-[0-9]{1,2}")
_SIGV4: Final = "AWS4-HMAC-SHA256"
_SIGV4A: Final = "AWS4-ECDSA-P256-SHA256"
_SCOPE_PARTS: Final = 5
_SCOPE_PARTS_SIGV4A: Final = 4


class Caller(NamedTuple):
    account_id: str
    region: str
    access_key: str | None = None
    """None when the request is not signed."""


class SignatureAuth:
    """Reads the caller from a signature version 4, in the header or in a presigned query.

    An access key of twelve digits is an account id. `account_of` knows the temporary access keys
    that functions got; every other key belongs to the account 000000000000.
    """

    def __init__(
        self, default_region: str, account_of: Callable[[str], str | None] = lambda _key: None
    ) -> None:
        self._default = Caller(DEFAULT_ACCOUNT, default_region)
        self._account_of = account_of
        self._known: dict[str, Caller] = {}

    def caller(self, headers: Mapping[str, str], query: str) -> Caller:
        """Raises `IncompleteSignatureException` for a signature that cannot be read."""
        authorization = headers.get("authorization")
        if authorization is not None:
            # The credential ends at the first comma; what comes after differs in every request.
            signed_as = authorization.partition(",")[0]
            known = self._known.get(signed_as)
            if (
                known is not None
                and "Signature=" in authorization
                and "SignedHeaders=" in authorization
            ):
                return known
            return self._read(signed_as, authorization, headers)
        if query and "X-Amz-Credential=" in query:
            credentials = parse_query(query).get("X-Amz-Credential")
            if credentials is not None:
                return self._scope(credentials[-1], _SCOPE_PARTS, headers)
        return self._default

    def is_lasting(self, headers: Mapping[str, str], query: str) -> bool:
        """Whether the same credentials mean the same caller for ever.

        What functions may do ends with them, so their keys are asked for every time. Where
        signatures come to be verified, nothing lasts.
        """
        key = self.caller(headers, query).access_key
        return key is None or self._account_of(key) is None

    def _read(self, signed_as: str, authorization: str, headers: Mapping[str, str]) -> Caller:
        algorithm, _, rest = authorization.partition(" ")
        if algorithm not in {_SIGV4, _SIGV4A}:
            raise IncompleteSignatureException(
                f"Unsupported AWS 'algorithm': '{_shown(algorithm)}', Lampyr reads "
                f"{_SIGV4} and {_SIGV4A}."
            )
        found = {}
        for part in rest.split(","):
            name, _, value = part.strip().partition("=")
            found[name] = value
        missing = [n for n in ("Credential", "Signature", "SignedHeaders") if not found.get(n)]
        if missing:
            lines = [f"Authorization header requires '{name}' parameter." for name in missing]
            raise IncompleteSignatureException(
                f"{' '.join(lines)} Authorization={_shown(authorization)}"
            )
        four = algorithm == _SIGV4A
        parts = _SCOPE_PARTS_SIGV4A if four else _SCOPE_PARTS
        caller = self._scope(found["Credential"], parts, headers)
        credential_first = signed_as.startswith(f"{_SIGV4} Credential=")
        if credential_first and self._account_of(caller.access_key or "") is None:
            # What functions may do ends with them, so their keys are asked for every time.
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[signed_as] = caller
        return caller

    def _scope(self, credential: str, parts: int, headers: Mapping[str, str]) -> Caller:
        """`AKID/20261121/us-east-1/lambda/aws4_request`; SigV4a names no Region in it."""
        scope = credential.split("/")
        if len(scope) != parts or scope[-1] != "aws4_request":
            raise IncompleteSignatureException(
                "Credential must have exactly 5 slash-delimited elements, e.g. "
                f"keyid/date/region/service/term, got '{_shown(credential)}'"
            )
        key = scope[0]
        if not _ACCESS_KEY.fullmatch(key):
            raise IncompleteSignatureException(f"'{_shown(key)}' is not an access key")
        region = scope[2]
        if parts == _SCOPE_PARTS_SIGV4A:
            region = headers.get("x-amz-region-set", "").partition(",")[0]
            if region in {"", "*"}:
                region = self._default.region
        if not _REGION.fullmatch(region):
            raise IncompleteSignatureException("Credential should be scoped to a valid region.")
        if _ACCOUNT.fullmatch(key):
            return Caller(key, region, key)
        return Caller(self._account_of(key) or DEFAULT_ACCOUNT, region, key)


def _shown(text: str) -> str:
    """Fit to be quoted in an error: short, and printable."""
    return "".join(c if c.isprintable() else "?" for c in text[:256])
