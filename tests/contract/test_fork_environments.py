"""What a fork of a template finds: what a plain start finds, and an environment that is whole."""

# ruff: noqa: F811

import json
from typing import Final

import pytest

from tests.contract.forge import Forge, forge  # noqa: F401  `forge` is a fixture.
from tests.contract.sandbox_benches import as_root

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400), as_root]

ENVIRONMENT: Final = """
import ctypes, json, subprocess
def of_a_child():
    lines = subprocess.run(["/usr/bin/env"], capture_output=True, text=True).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
before = [dict(os.environ), of_a_child()]
found = (libc.getenv(b"GLOW") or b"").decode()
os.environ["GLOW"] = "changed"
os.environ["NEW"] = "made"
del os.environ["GONE"]
after = [dict(os.environ), of_a_child()]
print(json.dumps([before, found, after]))
"""


async def test_the_environment_of_a_fork_is_that_of_its_c_library_and_its_children(
    forge: Forge,
) -> None:
    await forge.ready()
    told = {**forge.spec("").variables, "GLOW": "grün=1", "EMPTY": "", "GONE": "x"}
    del told["LD_BIND_NOW"]  # The template's own.
    (known, of_child), found, (then, of_later_child) = await forge.told(ENVIRONMENT, variables=told)
    assert known == of_child
    assert (known["GLOW"], known["EMPTY"], found) == ("grün=1", "", "grün=1")
    assert "LD_BIND_NOW" not in known
    assert (
        then
        == of_later_child
        == {
            **{name: value for name, value in known.items() if name != "GONE"},
            "GLOW": "changed",
            "NEW": "made",
        }
    )


FOUND: Final = """
import json, logging, sys
from awslambdaric import bootstrap
def read(path):
    with open(path) as file:
        return file.read()
print(json.dumps({
    "path": sys.path, "argv": sys.argv, "stdout": type(sys.stdout).__name__,
    "handlers": [type(each).__name__ for each in logging.getLogger().handlers],
    "level": logging.getLogger().level, "converter": logging.Formatter.converter.__name__,
    "request": bootstrap._GLOBAL_AWS_REQUEST_ID,
    "environment": sorted(name for name in os.environ if name != "LC_CTYPE"),
    "rehearsed": [name for name in sys.modules if "rehearsal" in name],
    "frozen": logging.getLogger().handlers[0].filters != [],
    "mounts": sorted(line.split()[4] for line in read("/proc/self/mountinfo").splitlines()),
}))
sys.stdout.flush()
os._exit(0)
"""


async def test_a_fork_finds_what_a_plain_start_finds(forge: Forge) -> None:
    """Nothing of what its template has rehearsed, and nothing of where that was made."""
    await forge.ready()
    plain = await forge.run(f"import os\n{FOUND}", template=None)
    assert await forge.told(FOUND) == json.loads(plain["output"])


INSTRUCTIONS: Final = """
import json, re, traceback
def names():
    with open("/proc/self/maps") as maps:
        for line in maps:
            _, kind, _, _, _, *name = line.split()
            if "x" in kind:
                yield name[0] if name else ""
def fail():
    raise LookupError(re.sub("a", "b", "aa"))
try:
    fail()
except LookupError as error:
    told = traceback.format_exception(error)[-1]
print(json.dumps([told, [name for name in names() if "libpython" in name], "" in names()]))
"""


async def test_the_interpreter_of_a_fork_is_in_memory_that_is_no_files(forge: Forge) -> None:
    await forge.ready()
    told, of_a_file, moved = await forge.told(INSTRUCTIONS)
    assert (told, of_a_file, moved) == ("LookupError: bb\n", [], True)
