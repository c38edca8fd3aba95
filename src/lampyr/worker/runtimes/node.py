"""The Node.js runtimes: what `/var/lang` and `/var/runtime` are made of.

`/var/runtime` holds AWS's own runtime client, as published on npm and without its native module,
and Lampyr's module in its place. Node.js 20 and 22 take generation 3 of it, which knows handlers
with a callback, as those runtimes do; from Node.js 24 on AWS has dropped those, and so does
generation 4.
"""

import base64
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lampyr.worker.runtimes.files import locked, make_directory
from lampyr.worker.runtimes.interpreters import Interpreter
from lampyr.worker.runtimes.model import Runtime, RuntimeMissingError
from lampyr.worker.runtimes.names import install_command

_OWN: Final = Path(__file__).parent.parent / "runtime_clients" / "node"
_LICENSES: Final = frozenset({"LICENSE", "NOTICE", "THIRD-PARTY-LICENSES"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeClient:
    """One published version of npm's `aws-lambda-ric`, and how to tell that it is that."""

    version: str
    integrity: str
    """As npm writes it: the SHA-512 of the archive, in base64."""
    module: str
    """The file of it that is used: pure JavaScript, with its dependencies inside."""

    @property
    def package(self) -> str:
        return f"aws-lambda-ric@{self.version}"


_GENERATION_3: Final = RuntimeClient(
    version="3.3.0",
    integrity=(
        "sha512-9p06TbKVK4a050NY/vYOxhMHvnIiUu5o1W0//q6yNLSqA/c91pn4BOj3C3sRTpplkUNsGJdU5qWyU2STo6"
        "L8hA=="
    ),
    module="dist/index.mjs",
)
_GENERATION_4: Final = RuntimeClient(
    version="4.0.2",
    integrity=(
        "sha512-FE5Vskx7mYNnqAnWWJXUOsLp2VGgdsJsCoRLFTa8L4Yk0QVtArqR8q58yPA++QC1a73ZWJXBQ2AH31nIAv"
        "7NOQ=="
    ),
    module="index.mjs",
)
_FLAGS: Final = ("--expose-gc", "--max-http-header-size=81920")
_EXPERIMENTS_OFF: Final = {
    "20": ("--no-experimental-require-module",),
    "22": ("--no-experimental-require-module", "--no-experimental-detect-module"),
}
"""AWS switches these off; a function's NODE_OPTIONS switches them on again."""
_FILES: Final = (
    *("client.cjs", "flags.cjs", "park.cjs", "rehearsal.cjs", "rehearsal.mjs"),
    *("runtime-client.cjs", "seldom.cjs", "start.cjs"),
)
_COMMON_JS: Final = {
    'import { createRequire } from "module";': 'const { createRequire } = require("module");',
    "const require = createRequire(import.meta.url);": "",
    "import.meta.url": "__filename",
    "\nexport {\n  run\n};": "\nmodule.exports = {\n  run\n};",
}
_MODULE_SYNTAX: Final = re.compile(r"^(import|export)\b|\bimport\.meta\b", re.MULTILINE)


class IntegrityError(Exception):
    """An archive is not the one that its name promises."""


class NodeRuntimes:
    def __init__(self, runtimes: Path) -> None:
        self._root = runtimes / "node"

    def runtime(self, name: str, interpreter: Interpreter) -> Runtime:
        """Raises `RuntimeMissingError` where AWS's client has not been installed yet."""
        release = interpreter.version.partition(".")[0]
        if not self.has_client(release):
            raise RuntimeMissingError(
                f"{name}: Node.js {interpreter.version} is there, but not AWS's runtime client "
                f"for it. Run: {install_command(name)}"
            )
        tree = self._assembled(client_of(release))
        node_path = (
            f"/opt/nodejs/node{release}/node_modules:/opt/nodejs/node_modules"
            ":/var/runtime/node_modules:/var/runtime:/var/task"
        )
        return Runtime(
            name=name,
            version=interpreter.version,
            argv=("/var/lang/bin/node", *_FLAGS, *_off(release), "/var/runtime/start.cjs"),
            park_script="/var/runtime/park.cjs",
            mounts=MappingProxyType({"/var/lang": interpreter.prefix, "/var/runtime": str(tree)}),
            variables=MappingProxyType({"NODE_PATH": node_path}),
        )

    def has_client(self, release: str) -> bool:
        return self._client(client_of(release)).exists()

    def add_client(self, release: str, archive: Path) -> None:
        """Keep what is used of npm's archive. Raises `IntegrityError`, or KeyError for a file."""
        client = client_of(release)
        check_integrity(archive, client.integrity)
        with locked(make_directory(self._root) / "lock"):
            kept = self._client(client)
            draft = self._root / f"{kept.name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            licenses = {name: draft / name for name in names_in(archive) & _LICENSES}
            take_files(archive, {client.module: draft / "index.mjs", **licenses})
            shutil.rmtree(kept, ignore_errors=True)
            draft.rename(kept)

    def _client(self, client: RuntimeClient) -> Path:
        return self._root / f"aws-lambda-ric-{client.version}"

    def _assembled(self, client: RuntimeClient) -> Path:
        tree = self._root / _fingerprint(client)
        if not tree.exists():
            with locked(self._root / "lock"):
                if not tree.exists():
                    draft = self._root / f"{tree.name}.draft"
                    shutil.rmtree(draft, ignore_errors=True)
                    _assemble(draft, client, self._client(client))
                    draft.rename(tree)
        return tree


def client_of(release: str) -> RuntimeClient:
    return _GENERATION_3 if int(release) < 24 else _GENERATION_4  # noqa: PLR2004 - a Node.js release


def check_integrity(archive: Path, integrity: str) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if integrity != f"sha512-{digest}":
        raise IntegrityError(f"{archive.name} is not what it should be: its SHA-512 differs")


def take_files(archive: Path, wanted: dict[str, Path]) -> None:
    """Write the named files of npm's archive to where they belong; KeyError for one not in it."""
    import tarfile  # noqa: PLC0415 - for installing alone

    with tarfile.open(archive, "r:gz") as package:
        for name, target in wanted.items():
            content = package.extractfile(f"package/{name}")
            if content is None:
                raise KeyError(name)
            make_directory(target.parent)
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)
            target.chmod(0o644)


def names_in(archive: Path) -> set[str]:
    import tarfile  # noqa: PLC0415 - for installing alone

    with tarfile.open(archive, "r:gz") as package:
        return {name.removeprefix("package/") for name in package.getnames()}


def _assemble(tree: Path, client: RuntimeClient, kept: Path) -> None:
    # AWS's client has the place that it has at AWS: error messages name it.
    shutil.copytree(kept, tree)
    generation = client.version.partition(".")[0]
    for name in _FILES:
        shutil.copyfile(_OWN / name, tree / name)
    shutil.copyfile(_OWN / f"ahead-{generation}.cjs", tree / "ahead.cjs")
    (tree / "index.cjs").write_text(as_common_js((tree / "index.mjs").read_text()))
    for path in tree.iterdir():
        path.chmod(0o644)


def as_common_js(module: str) -> str:
    """The text of AWS's client as a CommonJS module: as many lines, each where it was.

    Raises `ValueError` for one that imports or exports in a way that is not known here.
    """
    text = module.removeprefix("#!/usr/bin/env node")
    for line, instead in _COMMON_JS.items():
        text = text.replace(line, instead)
    if _MODULE_SYNTAX.search(text):
        raise ValueError("AWS's runtime client imports or exports in a new way")
    return '"use strict"; ' + text


def _fingerprint(client: RuntimeClient) -> str:
    digest = hashlib.sha256(f"{client.integrity} {_COMMON_JS}".encode())
    for path in sorted(_OWN.iterdir()):
        if path.suffix in {".mjs", ".cjs"}:
            digest.update(path.read_bytes())
    return f"{client.version}-{digest.hexdigest()[:16]}"


def _off(release: str) -> tuple[str, ...]:
    return _EXPERIMENTS_OFF.get(release, ())
