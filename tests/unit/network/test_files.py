"""What a sandbox's resolver is told."""

from ipaddress import IPv4Address

import pytest

from lampyr.worker.network.files import nameservers, network_files
from lampyr.worker.network.keeper.names import failure
from lampyr.worker.network.probe import forward_drops

pytestmark = pytest.mark.lampyr_only
HOST = """\
# made by hand
nameserver 127.0.0.53
nameserver fe80::1%eth0
options edns0 trust-ad

search corp.example
"""


def test_the_hosts_search_list_and_options_are_kept_and_its_servers_are_not() -> None:
    files = network_files(HOST, IPv4Address("169.254.78.1"))
    assert files["/etc/resolv.conf"] == (
        "nameserver 169.254.78.1\noptions edns0 trust-ad\nsearch corp.example\n"
    )
    assert "127.0.0.1 localhost\n" in files["/etc/hosts"]


def test_without_a_server_the_file_names_none() -> None:
    assert "nameserver" not in network_files(HOST, None)["/etc/resolv.conf"]


def test_the_servers_are_asked_in_the_hosts_order() -> None:
    assert nameservers(HOST) == ("127.0.0.53", "fe80::1%eth0")
    assert nameservers("") == ("127.0.0.1",)


def test_a_question_that_no_server_answers_is_answered_with_a_failure() -> None:
    question = b"\x12\x34\1\0\0\1\0\0\0\0\0\1\4shop\7example\0\0\1\0\1" + b"\0\0\x29" + bytes(8)
    said = failure(question)
    assert said[:2] == question[:2]
    assert said[2] & 0x80
    assert said[3] & 0xF == 2
    assert said[4:12] == b"\0\1\0\0\0\0\0\0"
    assert said[12:] == b"\4shop\7example\0\0\1\0\1"


@pytest.mark.parametrize("question", [bytes(12), b"\x12\x34\1\0\0\1" + bytes(6) + b"\xff" * 20])
def test_a_question_that_makes_no_sense_does_no_harm(question: bytes) -> None:
    assert failure(question)[:2] == question[:2]


def test_chains_that_drop_what_goes_through_the_host_are_found() -> None:
    chains = """
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
	chain INPUT {
		type filter hook input priority filter; policy drop;
	}
}
table inet lampyr_1234 {
	chain through {
		type filter hook forward priority filter - 10; policy accept;
	}
}
"""
    assert forward_drops(chains) == ["ip filter FORWARD"]
