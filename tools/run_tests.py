"""Run every test: what may share the machine side by side, then what must have it to itself.

Run by `make test`, in `.venv`. With arguments they are pytest's, and it runs once.

A test that failed is run again when all others are done, alone: what fails twice has failed. What
passed only then is named at the end; it is a defect, of the test or of Lampyr, but one that other
work on a small machine brought out (see ADR 14).
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
ALONE: Final = ("tests/crash", "tests/load")
"""These keep every core busy, or look at the whole host."""
SIDE_BY_SIDE: Final = ("-n", "2", "--dist", "loadfile")
LAST_FAILED: Final = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
TESTS_FAILED: Final = 1
SECOND_TRIES_MAX: Final = 10
"""When more failed, something is broken."""


def main() -> int:
    if arguments := sys.argv[1:]:
        return _pytest(*arguments)
    shared = _twice(*SIDE_BY_SIDE, "tests", *(f"--ignore={path}" for path in ALONE))
    alone = _twice(*ALONE)
    return shared or alone


def _twice(*arguments: str) -> int:
    code = _pytest(*arguments)
    failed = sorted(json.loads(LAST_FAILED.read_text())) if code == TESTS_FAILED else []
    if not failed or len(failed) > SECOND_TRIES_MAX:
        return code
    sys.stdout.write(f"\nOnce more, alone: {len(failed)} that failed.\n")
    code = _pytest(*failed)
    if code == 0:
        sys.stdout.write("\nThese passed only the second time; each is a defect:\n")
        sys.stdout.writelines(f"  {name}\n" for name in failed)
    sys.stdout.flush()
    return code


def _pytest(*arguments: str) -> int:
    sys.stdout.flush()
    LAST_FAILED.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
