"""What control groups say that go away while they are used."""

import errno
import os
from pathlib import Path

import pytest

from lampyr.worker.sandbox.spawner.cgroups import CgroupsV1


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENODEV, FileNotFoundError), (errno.EBUSY, OSError)]
)
def test_a_group_that_goes_after_its_file_was_opened_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: type[OSError]
) -> None:
    """The kernel says of such a file that there is no such device."""
    cgroups = CgroupsV1({"freezer": str(tmp_path)}, "0a")
    state = Path(cgroups.path("it", "freezer")) / "freezer.state"
    state.parent.mkdir(parents=True)
    state.write_text("")

    def refuse(_fd: int, _data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(said):
        cgroups.thaw("it")
