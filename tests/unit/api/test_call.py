"""What an operation knows about its call."""

import pytest

from lampyr.api.call import Call
from lampyr.model.trace import complete_trace
from tests.unit.api.fakes import services


@pytest.mark.parametrize(
    ("given", "complete"),
    [
        (None, "Root=1-00000001-000000000000000000000000;Parent=0000000000000002;Sampled=0"),
        ("", "Root=1-00000001-000000000000000000000000;Parent=0000000000000002;Sampled=0"),
        ("Root=1-a-b", "Root=1-a-b;Parent=0000000000000002;Sampled=0"),
        ("Root=1-a-b;Parent=c", "Root=1-a-b;Parent=c;Sampled=0"),
        ("Root=1-a-b;Parent=c;Sampled=1", "Root=1-a-b;Parent=c;Sampled=1"),
        (
            "Sampled=1;Lineage=x",
            "Root=1-00000001-000000000000000000000000;Parent=0000000000000002;Sampled=1;Lineage=x",
        ),
    ],
)
def test_a_trace_header_is_completed(given: str | None, complete: str) -> None:
    assert complete_trace(given, now=1, dice=2) == complete


def test_a_call_has_one_trace() -> None:
    call = Call(
        request_id="id",
        account_id="000000000000",
        region="eu-west-1",
        base_url="http://localhost",
        services=services(),
    )
    assert call.trace_header == call.trace_header
    assert call.trace_header.startswith("Root=1-6")
