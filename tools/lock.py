"""Write the four locks: exact versions and hashes, no addresses.

They hold for every Python that `pyproject.toml` allows. Run by `make lock`.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
HEADER: Final = "# Made by `make lock` from pyproject.toml. Do not edit.\n"
LOCKS: Final = {"requirements.lock": "build", "requirements-dev.lock": "dev"}
BESIDE: Final = {"neighbours.lock": "neighbours", "test-servers.lock": "test-servers"}
"""Of environments without Lampyr in them."""


def compile_lock(name: str, group: str, upgrade: bool) -> None:
    # What was locked before stays, unless it no longer fits or `upgrade` says otherwise.
    target = ROOT / name
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile"]
    command += [] if name in BESIDE else ["pyproject.toml"]
    command += ["--universal", "--python-version", "3.11", "--group", group]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--output-file", name]
    if group == "dev":
        command += ["--constraint", "requirements.lock"]
    if upgrade:
        command.append("--upgrade")
    subprocess.run(command, cwd=ROOT, check=True)
    target.write_text(HEADER + target.read_text())


def main() -> int:
    for name, group in (*LOCKS.items(), *BESIDE.items()):
        compile_lock(name, group, upgrade="--upgrade" in sys.argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
