"""The directory that every sandbox sees as `/`, before anything is mounted in it.

It has mount points, links, and a small `/etc` of its own: accounts, name resolution, trust
store, time zone. Nothing of the host's `/etc` is seen that is not copied here, one by one.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOUNT_POINTS: Final = ("/var/task", "/var/runtime", "/var/lang")
"""Where `SandboxSpec.mounts` may put a directory."""
FILES: Final[Mapping[str, str]] = {
    "/etc/resolv.conf": "",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
}
"""What a network may replace for one sandbox."""
MASKED: Final = ("/usr/local", "/usr/src")
"""What belongs to the host's users rather than to its distribution."""

_DIRECTORIES: Final = (
    "dev", "etc", "home", "mnt", "opt", "proc", "run", "sys", "tmp", "var/empty", "var/lang",
    "var/lib", "var/runtime", "var/task", "var/tmp",
)  # fmt: skip
_SHARED: Final = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ACCOUNTS: Final = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/:/sbin/nologin\n"
        "sbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\nnobody:x:65534:\nsbx_user1051:x:990:\n",
    "etc/nsswitch.conf": (
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
        "networks: files\nprotocols: files\nservices: files\n"
    ),
    "etc/host.conf": "multi on\n",
}
_COPIED: Final = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "mime.types", "os-release", "debian_version",
    "system-release", "services", "protocols", "gai.conf", "ssl/openssl.cnf", "pki/tls/certs",
    "pki/ca-trust/extracted", "crypto-policies",
)  # fmt: skip
# Hundreds of links each: mounting them is quicker than copying them at every start.
_SHARED_ETC: Final = ("alternatives", "ssl/certs")
_BUNDLES: Final = (
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootFileSystem:
    path: Path
    shared: tuple[str, ...]
    """Directories of the host to be mounted over the same names here, read-only."""
    masked: tuple[str, ...]
    """Directories among those to be shown empty."""


def build(
    path: Path, host: Path = Path("/"), *, extra_directories: tuple[str, ...] = ()
) -> RootFileSystem:
    """Make the directory at `path`, which must not exist, after the host's own layout."""
    for name in (*_DIRECTORIES, *extra_directories):
        (path / name).mkdir(parents=True)
    (path / "var/run").symlink_to("../run")
    shared = [f"/{name}" for name in _SHARED if _share(path, host, name)]
    for name in _SHARED_ETC:
        if (host / "etc" / name).is_dir():
            (path / "etc" / name).mkdir(parents=True)
            shared.append(f"/etc/{name}")
    _write_etc(path, host)
    return RootFileSystem(
        path=path,
        shared=tuple(shared),
        masked=tuple(name for name in MASKED if (host / name[1:]).is_dir()),
    )


def _share(path: Path, host: Path, name: str) -> bool:
    """Whether the directory is to be mounted: on most hosts `/lib` is a link into `/usr`."""
    origin = host / name
    if origin.is_symlink():
        (path / name).symlink_to(origin.readlink())
        return False
    if not origin.is_dir():
        return False
    (path / name).mkdir()
    return True


def _write_etc(path: Path, host: Path) -> None:
    for name in _COPIED:
        _copy(host / "etc" / name, path / "etc" / name)
    for name, text in _ACCOUNTS.items():
        (path / name).write_text(text)
    for name, text in FILES.items():
        (path / name[1:]).write_text(text)
    (path / "etc/localtime").symlink_to("/usr/share/zoneinfo/UTC")
    (path / "etc/mtab").symlink_to("/proc/self/mounts")
    found = next((name for name in _BUNDLES if (host / name).is_file()), None)
    # Programs look for the same bundle under each distribution's name.
    for name in _BUNDLES if found else ():
        target = path / name
        mounted = any(name.startswith(f"etc/{shared}/") for shared in _SHARED_ETC)
        if not mounted and not target.exists() and not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(f"/{found}")


def _copy(source: Path, target: Path) -> None:
    """Files and links that anyone may read; what only root may read stays on the host."""
    try:
        if source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            for entry in os.scandir(source):
                _copy(Path(entry.path), target / entry.name)
        elif source.is_file() and source.stat().st_mode & 0o004:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except PermissionError:
        return
