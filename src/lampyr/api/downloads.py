"""Links to code packages that work for ten minutes, as `Code.Location` of GetFunction.

AWS gives a presigned URL of S3; these are Lampyr's own, signed with a key of this process.

https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
"""

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lampyr.api.call import Call

PREFIX: Final = "/_lampyr/code/"
EXPIRES_SECONDS: Final = 600

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_EXPIRES_DIGITS_MAX: Final = 12


def location(call: "Call", code_sha256: str) -> str:
    """The URL at which the caller gets the package of this hash (base64), for ten minutes."""
    sha256 = base64.b64decode(code_sha256).hex()
    expires = int(call.services.clock.now()) + EXPIRES_SECONDS
    return call.base_url + path(call.services.download_secret, sha256, expires)


def path(secret: bytes, sha256: str, expires: int) -> str:
    """`sha256`: of the package, hexadecimal; `expires`: seconds since the epoch."""
    return f"{PREFIX}{sha256}?expires={expires}&signature={sign(secret, sha256, expires)}"


def sign(secret: bytes, sha256: str, expires: int) -> str:
    message = f"{sha256}\n{expires}".encode()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def verify(secret: bytes, sha256: str, expires: str, signature: str, now: float) -> bool:
    """Whether a link, in the parts that came with a request, was given by us and still holds."""
    if not _SHA256.fullmatch(sha256) or not (expires.isascii() and expires.isdigit()):
        return False
    if len(expires) > _EXPIRES_DIGITS_MAX or int(expires) < now:
        return False
    # Bytes, as a signature that is not ASCII would raise.
    expected = sign(secret, sha256, int(expires)).encode()
    return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))
