"""Web pages cannot drive a Lampyr on the loopback of those who look at them."""

import pytest

from lampyr.api.origins import KNOWN_MAX, Origins, is_own_host
from lampyr.errors import AccessDeniedException

BASE = "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1:4566",
            "localhost",
            "LOCALHOST:4566",
            "[::1]:4566",
            "192.168.1.7",
            "box.local",
        ),
        *(
            "lambda.us-east-1.localhost.localstack.cloud:4566",
            "host.docker.internal",
            "lampyr:4566",
        ),
        *("169.254.100.1:9001", "my.example:80"),
    ],
)
def test_names_that_mean_this_machine(host: str) -> None:
    assert is_own_host(host, {"my.example"})


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:4566", "127.0.0.1.evil.example", "localhost.evil.example"),
        *(
            "é",
            "a b",
            "a/b",
            "",
            "user@127.0.0.1",
            "127.0.0.1:x",
            "x" * 300,
            "[::1",
            "evil.example.",
        ),
        "notlocalhost.localstack.cloud",
    ],
)
def test_names_that_do_not(host: str) -> None:
    assert not is_own_host(host, ())


def test_the_base_url_is_where_the_caller_came() -> None:
    origins = Origins(BASE, ["LAMPYR.example"])
    assert origins.base_url({"host": "localhost:1"}) == "http://localhost:1"
    assert origins.base_url({"host": "lampyr.example"}) == "http://lampyr.example"
    assert origins.base_url({}) == BASE
    named = Origins("http://lambda.example:80")
    assert named.base_url({"host": "lambda.example:80"}) == "http://lambda.example:80"


def test_a_name_that_a_page_had_resolve_to_us_is_refused() -> None:
    with pytest.raises(AccessDeniedException, match=r"not known as 'evil\.example:4566'"):
        Origins(BASE).base_url({"host": "evil.example:4566"})


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:4566"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_pages_of_other_sites_change_nothing(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(AccessDeniedException, match="no changes from web pages"):
        Origins(BASE).check(method, headers, BASE)


def test_programs_and_pages_of_our_own_may() -> None:
    origins = Origins(BASE)
    origins.check("POST", {}, BASE)
    origins.check("POST", {"origin": BASE, "sec-fetch-site": "same-origin"}, BASE)
    origins.check("POST", {"sec-fetch-site": "none"}, BASE)
    origins.check("GET", {"origin": "https://evil.example"}, BASE)


def test_no_more_hosts_are_remembered_than_there_is_room_for() -> None:
    origins = Origins(BASE)
    for number in range(KNOWN_MAX + 2):
        origins.base_url({"host": f"h{number}"})
    assert len(origins._known) == 2
