"""Debian packages that Lampyr and its tests use: which are missing, and what to do about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Package(NamedTuple):
    name: str
    proof: str
    """Commands on PATH of which one is enough, or a path, that is there when the package is."""
    without: str
    """What works less when it is missing."""
    by: str = "everyone"
    """Who uses it: everyone, root or user."""


START = (
    Package("nftables", "nft", "functions cannot reach the internet, only Lampyr", "root"),
    Package("e2fsprogs", "mkfs.ext4", "what a function writes to /tmp counts as memory", "root"),
    Package(
        "slirp4netns",
        "slirp4netns|pasta",
        "functions cannot reach the internet, only Lampyr",
        "user",
    ),
    Package(
        "ca-certificates",
        "/etc/ssl/certs/ca-certificates.crt",
        "functions cannot verify TLS certificates with the system's trust store",
    ),
    Package("tzdata", "/usr/share/zoneinfo/UTC", "functions have no time zone data"),
)
TEST = (
    *START,
    Package("iproute2", "ip", "the tests that look at network namespaces are skipped"),
    Package("bubblewrap", "bwrap", "the tests of the bubblewrap sandbox are skipped"),
    Package(
        "slirp4netns", "slirp4netns", "the tests of an ordinary user's network are skipped", "root"
    ),
    Package("nodejs", "node", "the tests of Node.js functions are skipped"),
    Package("npm", "npm", "the tests of Node.js functions and of the JavaScript SDK are skipped"),
    Package("golang-go", "go", "the tests of Go functions are skipped"),
    Package("curl", "curl", "the example in shell is skipped"),
    Package("postgresql", "/usr/lib/postgresql", "the tests of the PostgreSQL store are skipped"),
    Package(
        "rabbitmq-server",
        "/usr/lib/rabbitmq/bin/rabbitmq-server",
        "the tests of message brokers are skipped",
    ),
    Package("activemq", "/usr/share/activemq", "the tests of message brokers are skipped"),
    Package("git", "git", "the tests that list the project's own files are skipped"),
)
SETS = {"start": START, "test": TEST}
ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def ensure(what: str, refused: list[str]) -> list[str]:
    """Install what the set `what` lacks, or say what is lacking; the names apt refused.

    Names in `refused` were tried before, in vain, and are not tried again.
    """
    missing = _missing(SETS[what])
    if not missing:
        return []
    names = sorted({package.name for package in missing})
    if _is_root() and shutil.which("apt-get") and set(names) - set(refused):
        _say(f"installing system packages: {' '.join(names)}")
        if not apt_install(names) and len(names) > 1:
            # apt installs all or none: what it has is wanted although it lacks another.
            for name in names:
                apt_install([name])
        missing = _missing(SETS[what])
    for package in missing:
        _say(f"missing: {package.name}; without it {package.without}")
    if missing:
        names = sorted({package.name for package in missing})
        how = "with your system's package manager"
        if shutil.which("apt-get"):
            how = f"as root: apt-get install {' '.join(names)}"
        _say(f"going on without {len(names)} system package(s); to install them {how}")
        return names
    return []


def ensure_venv_module() -> bool:
    """Whether `python3 -m venv` can put pip into what it makes; installs it where we may."""
    if _has_ensurepip():
        return True
    if _is_root() and shutil.which("apt-get"):
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        _say(f"installing system packages: {version}-venv")
        if apt_install([f"{version}-venv"]):
            return _has_ensurepip()
    return False


def apt_install(names: list[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "-y", "--no-install-recommends", "install", *names],
    )
    for command in commands:
        done = subprocess.run(
            command, env=environment, check=False, stdin=subprocess.DEVNULL, capture_output=True
        )
    if done.returncode != 0:
        _say(done.stderr.decode(errors="replace").strip())
    return done.returncode == 0


def _missing(packages: tuple[Package, ...]) -> list[Package]:
    who = "root" if _is_root() else "user"
    wanted = [package for package in packages if package.by in {"everyone", who}]
    return [package for package in wanted if not _is_there(package.proof)]


def _is_there(proof: str) -> bool:
    if proof.startswith("/"):
        return Path(proof).exists()
    path = f"{os.environ.get('PATH', os.defpath)}:{ADMIN_PATH}"
    return any(shutil.which(command, path=path) for command in proof.split("|"))


def _has_ensurepip() -> bool:
    # In a process of its own: what this one found missing it would go on to find missing.
    code = "import ensurepip, sys; sys.exit(not ensurepip.version())"
    interpreter = getattr(sys, "_base_executable", sys.executable)
    command = [interpreter, "-c", code]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _is_root() -> bool:
    return os.geteuid() == 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
