"""The calls of `setup`, written down once for each kind of sandbox and filled in for each one.

Most of what a sandbox is told is the same for all of a function: what is not has the same length
and stands in the written form as something that occurs nowhere else.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from lampyr.worker.sandbox import setup
from lampyr.worker.sandbox.calls import Calls
from lampyr.worker.sandbox.setup import Host, Place
from lampyr.worker.sandbox.spawner import variables

FORMS_MAX: Final = 64
_OWN: Final = ("id", "uid", "gid", "hostname", "tmp_device", "variables")
"""Of each sandbox alone."""
_ID, _HOSTNAME, _DEVICE = "\x01", "\x02", "\x03" * 32
_UID: Final = 9_999_999_999
"""No user has it, but its digits are as many as those of any user of a sandbox."""
_WORD_BYTES: Final = 8


class Forms:
    """Of one host. Those used last are kept."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: OrderedDict[tuple[object, ...], tuple[Calls, bytes]] = OrderedDict()

    def filled_in(self, message: Mapping[str, Any], place: Place) -> tuple[Calls, bytes]:
        """The calls, and the packet for the fork; raise `ValueError` when that is too much."""
        told = dict(message["variables"])
        if place.locale is not None:
            told["LC_CTYPE"] = place.locale
        rest = variables.packed(told, place.variables)
        if not _has_form(message):
            calls = setup.written_down(self._host, message, place)
            return calls, calls.packed(rest)
        calls, form = self._form(message, place)
        data = form
        for blank, value in _values(message):
            data = data.replace(blank, value)
        return calls, calls.with_rest(data, rest)

    def _form(self, message: Mapping[str, Any], place: Place) -> tuple[Calls, bytes]:
        same = {name: value for name, value in message.items() if name not in _OWN}
        lengths = len(message["id"]), len(message["hostname"]), message["tmp_device"] is None
        key = (place, *lengths, json.dumps(same))
        if key not in self._known:
            calls = setup.written_down(self._host, _blank(message), place)
            self._known[key] = calls, calls.packed(b"")
            if len(self._known) > FORMS_MAX:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]


def _has_form(message: Mapping[str, Any]) -> bool:
    """Whether what stands in for its own values could not be anything else."""
    digits, shortest = len(str(message["uid"])), min(len(message["id"]), len(message["hostname"]))
    same = message["uid"] == message["gid"]
    return same and digits == len(str(_UID)) and shortest >= _WORD_BYTES


def _blank(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **message,
        "id": _ID * len(message["id"]),
        "hostname": _HOSTNAME * len(message["hostname"]),
        "tmp_device": None if message["tmp_device"] is None else _DEVICE,
        "uid": _UID,
        "gid": _UID,
    }


def _values(message: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """What stands in a form, and what is to stand there."""
    blank = _blank(message)
    # The kernel reads a path up to its first zero.
    device = (message["tmp_device"] or "").encode().ljust(len(_DEVICE), b"\0")
    return [
        (blank["id"].encode(), message["id"].encode()),
        (blank["hostname"].encode(), message["hostname"].encode()),
        (_DEVICE.encode(), device),
        (_word(_UID), _word(message["uid"])),
        (str(_UID).encode(), str(message["uid"]).encode()),
    ]


def _word(number: int) -> bytes:
    return number.to_bytes(_WORD_BYTES, "little")
