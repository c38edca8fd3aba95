"""Links to packages: given by us, for one package, for ten minutes."""

import base64
from urllib.parse import parse_qs, urlsplit

import pytest

from lampyr.api import downloads
from lampyr.api.call import Call
from tests.unit.api.fakes import NOW, services

SECRET = b"secret"
SHA256 = "ab" * 32


def test_a_location_is_good_for_ten_minutes() -> None:
    call = Call(
        request_id="id",
        account_id="000000000000",
        region="eu-west-1",
        base_url="http://localhost:1",
        services=services(),
    )
    digest = base64.b64encode(bytes.fromhex(SHA256)).decode()
    url = urlsplit(downloads.location(call, digest))
    query = parse_qs(url.query)
    assert (url.netloc, url.path) == ("localhost:1", f"/_lampyr/code/{SHA256}")
    given = (SECRET, SHA256, query["expires"][0], query["signature"][0])
    assert downloads.verify(*given, now=NOW)
    assert downloads.verify(*given, now=NOW + 600)
    assert not downloads.verify(*given, now=NOW + 601)


@pytest.mark.parametrize(
    ("sha256", "expires", "signature"),
    [
        ("cd" * 32, "2000", None),
        (SHA256, "2001", None),
        (SHA256, "-1", None),
        (SHA256, "9" * 40, None),
        (SHA256, "\u0661", None),
        (SHA256, "", None),
        (SHA256, "2000", ""),
        (SHA256, "2000", "ä"),
        (SHA256, "2000", "\ud800"),
        ("../../etc/passwd", "2000", None),
        (SHA256.upper(), "2000", None),
    ],
)
def test_a_link_that_we_did_not_give(sha256: str, expires: str, signature: str | None) -> None:
    good = downloads.sign(SECRET, SHA256, 2_000)
    tried = good if signature is None else signature
    assert not downloads.verify(SECRET, sha256, expires, tried, now=1_000)
    assert downloads.verify(SECRET, SHA256, "2000", good, now=1_000)
    assert not downloads.verify(b"another", SHA256, "2000", good, now=1_000)
