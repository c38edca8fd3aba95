"""The temporary credentials of execution roles."""

import random
import re

from lampyr.worker.credentials import CredentialBook

ROLE = "arn:aws:iam::111111111111:role/r"


def _book(issued_max: int = 100) -> CredentialBook:
    return CredentialBook(random.Random(1).randbytes, issued_max)


def test_credentials_look_like_those_of_sts() -> None:
    issued = _book().issue("111111111111", ROLE, "hello")
    assert re.fullmatch("ASIA[A-Z2-7]{16}", issued.access_key_id)
    assert re.fullmatch("[A-Za-z0-9+/]{40}", issued.secret_access_key)
    assert len(issued.session_token) > 200


def test_no_two_are_the_same() -> None:
    book = _book()
    issued = [book.issue("1", ROLE, "f") for _ in range(50)]
    assert len({each.access_key_id for each in issued}) == 50
    assert len({each.secret_access_key for each in issued}) == 50


def test_an_access_key_leads_to_its_account_and_secret_until_it_is_revoked() -> None:
    book = _book()
    issued = book.issue("111111111111", ROLE, "f")
    assert book.account_of(issued.access_key_id) == "111111111111"
    assert book.secret_of(issued.access_key_id) == issued.secret_access_key
    book.revoke(issued.access_key_id)
    book.revoke(issued.access_key_id)
    assert book.account_of(issued.access_key_id) is None
    assert book.secret_of(issued.access_key_id) is None


def test_a_key_never_given_out_leads_nowhere() -> None:
    assert _book().account_of("ASIAAAAAAAAAAAAAAAAA") is None


def test_the_book_is_bounded_and_the_oldest_goes_first() -> None:
    book = _book(issued_max=3)
    issued = [book.issue(str(n), ROLE, "f") for n in range(5)]
    assert len(book) == 3
    assert [book.account_of(each.access_key_id) for each in issued] == [None, None, "2", "3", "4"]


def test_a_key_that_is_out_is_not_given_out_again() -> None:
    draws = iter([bytes(10), bytes(30), bytes(210), bytes(10), b"\1" * 10, bytes(30), bytes(210)])
    book = CredentialBook(lambda count: next(draws))
    assert book.issue("1", ROLE, "f").access_key_id != book.issue("1", ROLE, "f").access_key_id
