"""Images on loop devices: all that was in the file, and nothing left when nobody uses them."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from lampyr.worker.sandbox.spawner.loop import Image
from tests.contract.sandbox_benches import as_root

MIB = 1 << 20
PIECES = {0: b"first", 3 * MIB + 8_192: b"in the middle", 7 * MIB + MIB - 4_096: b"last"}

pytestmark = [as_root, pytest.mark.skipif(not Path("/dev/loop-control").exists(), reason="no loop")]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(8 * MIB)
        for place, text in PIECES.items():
            file.seek(place)
            file.write(text.ljust(4_096, b"."))
    return Image(str(path))


def test_a_device_has_what_was_in_the_file_and_zeros_elsewhere(
    image: Image, tmp_path: Path
) -> None:
    device, path = image.on_device(str(tmp_path))
    try:
        assert stat.S_ISBLK(os.fstat(device).st_mode)
        whole = Path(path).read_bytes()
    finally:
        os.close(device)
    assert len(whole) == 8 * MIB
    for place, text in PIECES.items():
        assert whole[place : place + 4_096] == text.ljust(4_096, b".")
    assert whole.count(0) == 8 * MIB - 3 * 4_096


def test_two_devices_share_nothing(image: Image, tmp_path: Path) -> None:
    (one, first), (two, second) = (image.on_device(str(tmp_path)) for _ in range(2))
    try:
        assert first != second
        os.pwrite(one, b"changed".ljust(4_096), 0)
        os.fsync(one)
        assert Path(second).read_bytes()[:5] == b"first"
    finally:
        os.close(one)
        os.close(two)


def test_no_file_is_seen_and_the_device_is_free_again(image: Image, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    device, path = image.on_device(str(tmp_path))
    assert set(tmp_path.iterdir()) == before
    os.close(device)
    again = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="No such device"):
            fcntl.ioctl(again, 0x4C05, bytes(232))  # LOOP_GET_STATUS64
    finally:
        os.close(again)
