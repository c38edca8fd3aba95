"""The calls of `setup`, written down once for each kind of sandbox and filled in for each one.

Most of what a sandbox is told is the same for all of a function: what is not has the same length
and stands in the written form as something that occurs nowhere else.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Form:
    """Calls with blanks, and where those are: of each value, in the order of `_values`."""

    calls: Calls
    packed: bytes
    blanks: tuple[tuple[int, ...], ...]


class Forms:
    """Of one host. Those used last are kept."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: OrderedDict[tuple[object, ...], Form] = OrderedDict()

    def filled_in(self, message: Mapping[str, Any], place: Place) -> tuple[Calls, bytes]:
        """The calls, and the packet for the fork; raise `ValueError` when that is too much."""
        told = dict(message["variables"])
        if place.locale is not None:
            told["LC_CTYPE"] = place.locale
        rest = variables.packed(told, place.variables)
        if not _has_form(message):
            calls = setup.written_down(self._host, message, place)
            return calls, calls.packed() + rest
        form = self._form(message, place)
        data = bytearray(form.packed)
        for value, blanks in zip(_values(message), form.blanks, strict=True):
            for at in blanks:
                data[at : at + len(value)] = value
        return form.calls, bytes(data + rest)

    def _form(self, message: Mapping[str, Any], place: Place) -> Form:
        same = {name: value for name, value in message.items() if name not in _OWN}
        lengths = len(message["id"]), len(message["hostname"]), message["tmp_device"] is None
        key = (place, *lengths, str(same))
        if key not in self._known:
            self._known[key] = self._written(_blank(message), place)
            if len(self._known) > FORMS_MAX:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def _written(self, blank: Mapping[str, Any], place: Place) -> Form:
        calls = setup.written_down(self._host, blank, place)
        packed = calls.packed()
        found = [re.finditer(re.escape(value), packed) for value in _values(blank)]
        blanks = tuple(tuple(each.start() for each in matches) for matches in found)
        return Form(calls, packed, blanks)


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


def _values(message: Mapping[str, Any]) -> tuple[bytes, ...]:
    """What stands in a form, each as long as what stands for it in the blank one."""
    # The kernel reads a path up to its first zero.
    device = (message["tmp_device"] or _DEVICE).encode().ljust(len(_DEVICE), b"\0")
    uid = message["uid"]
    return (
        message["id"].encode(),
        message["hostname"].encode(),
        device,
        uid.to_bytes(_WORD_BYTES, "little"),
        str(uid).encode(),
    )
