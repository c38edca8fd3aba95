"""What sandboxes are made from on the host: the root file system, and the programs we assembled."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lampyr.worker.sandbox import rootfs
from lampyr.worker.sandbox.instance import Instance
from lampyr.worker.sandbox.probe import probe
from lampyr.worker.sandbox.spawner import batch, init, parting

SOURCES = Path(init.__file__).parent
ASSEMBLERS = {"x86_64": "x86_64-linux-gnu-", "aarch64": "aarch64-linux-gnu-"}


@pytest.mark.parametrize("machine", ASSEMBLERS)
def test_the_bytes_of_a_program_are_its_source_assembled(machine: str, tmp_path: Path) -> None:
    prefix = ASSEMBLERS[machine]
    if shutil.which(f"{prefix}as") is None:
        pytest.skip(f"no assembler for {machine}")
    programs = {"init": init.CODE, "part": parting.CODE, "batch": batch.CODE}
    for name, codes in programs.items():
        if machine not in codes:
            continue
        made, code = tmp_path / f"{name}.o", tmp_path / f"{name}.bin"
        subprocess.run([f"{prefix}as", "-o", made, SOURCES / f"{name}_{machine}.s"], check=True)
        subprocess.run([f"{prefix}objcopy", "-O", "binary", "-j", ".text", made, code], check=True)
        assert code.read_bytes() == codes[machine]


TAKES_CALLS = """
import os, socket, struct, sys
sys.path.append(sys.argv[1])
from spawner import batch, seccomp
prepared = batch.Batch(seccomp.build())
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if sys.argv[2] == "refused":
    data = bytearray(batch.REGION_BYTES)
    batch.COUNT.pack_into(data, 0, 2)
    getpid, close = 39, 3
    first = batch.CALL.pack(getpid, 0, 0, 0, 0, 0, 0, batch.MUST, 0, 0)
    second = batch.CALL.pack(close, 999, 0, 0, 0, 0, 0, batch.MUST, 0, 0)
    data[batch.DATA_BYTES : batch.DATA_BYTES + 160] = first + second
    ours.send(data)
ours.close()
try:
    pid, _ = prepared.clone(0, [theirs.fileno()])
except batch.CallError as error:
    print(error.in_clone, error.place, error.errno, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


@pytest.mark.skipif(os.uname().machine not in batch.CODE, reason="no calls on this machine")
@pytest.mark.parametrize(
    ("what", "place", "number"),
    [("refused", "True 1", errno.EBADF), ("gone", "True None", errno.EPIPE)],
)
def test_a_clone_whose_calls_fail_or_never_come_goes_no_further(
    what: str, place: str, number: int
) -> None:
    directory = str(SOURCES.parent)
    argv = [sys.executable, "-I", "-S", "-c", TAKES_CALLS, directory, what]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split("\n") == [f"{place} {number}", ""]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    host = tmp_path / "host"
    for name in ("usr/local", "usr/lib", "lib64", "etc/alternatives", "etc/ssl/certs", "root"):
        (host / name).mkdir(parents=True)
    (host / "lib").symlink_to("usr/lib")
    for name in ("etc/shadow", "etc/passwd", "etc/services", "etc/ssl/certs/ca-certificates.crt"):
        (host / name).write_text("of the host")
    (host / "etc/mime.types").write_text("secret")
    (host / "etc/mime.types").chmod(0o600)
    return host


def test_the_root_follows_the_hosts_layout(host: Path, tmp_path: Path) -> None:
    root = rootfs.build(tmp_path / "root", host)
    assert (root.path / "lib").readlink() == Path("usr/lib")
    assert set(root.shared) == {"/usr", "/lib64", "/etc/alternatives", "/etc/ssl/certs"}
    assert root.masked == ("/usr/local",)
    assert not (root.path / "root").exists()


def test_of_the_hosts_etc_only_what_is_listed_and_public_is_copied(
    host: Path, tmp_path: Path
) -> None:
    etc = rootfs.build(tmp_path / "root", host).path / "etc"
    assert (etc / "services").read_text() == "of the host"
    assert "of the host" not in (etc / "passwd").read_text()
    assert not (etc / "shadow").exists()
    assert not (etc / "mime.types").exists()


def test_the_trust_store_has_the_name_it_has_on_lambda(host: Path, tmp_path: Path) -> None:
    etc = rootfs.build(tmp_path / "root", host).path / "etc"
    bundle = etc / "pki/tls/certs/ca-bundle.crt"
    assert bundle.readlink() == Path("/etc/ssl/certs/ca-certificates.crt")


def test_an_instance_keeps_its_name_until_it_is_left_in_order(tmp_path: Path) -> None:
    first = Instance(tmp_path / "run")
    first.open()
    (first.scratch / "left").touch()
    again = Instance(tmp_path / "run")
    again.open()
    assert again.id == first.id
    assert list(again.scratch.iterdir()) == []
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    again.close(None)
    assert not (tmp_path / "run").exists()
    other = Instance(tmp_path / "run")
    other.open()
    assert other.id != first.id
    other.close(None)


def test_a_process_that_only_has_the_number_of_an_old_sandbox_is_left_alone(
    tmp_path: Path,
) -> None:
    instance = Instance(tmp_path / "run")
    instance.open()
    with subprocess.Popen(["sleep", "1000"]) as process:
        (instance.records / "old").write_text(f"{process.pid} 1")
        Instance(tmp_path / "run").open()
        assert process.poll() is None
        process.kill()
    instance.close(None)


async def test_doctor_says_how_to_mend_whatever_is_not_well() -> None:
    facts = await probe()
    assert {"kernel", "user namespace", "seccomp"} <= {fact.name for fact in facts}
    for fact in facts:
        assert fact.ok or fact.mend, fact.name
