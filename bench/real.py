"""Row 19: handlers that do what functions do, and the same code in a bare loop.

Each handler measures itself. Beside it the very same interpreter runs the very same file with the
very same packages, alone: what is slower under the platform is the platform's doing. Written after
the kinds of work in FunctionBench (https://github.com/kmu-bigdata/serverless-faas-workbench).
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import functions
from bench.base import LAMPYR, Bench, Placing, pair
from bench.client import Connection, Series, Target
from bench.results import Row, milliseconds
from bench.rivals import ENVIRONMENT

TIMES: Final = 15
"""Calls a round of each, in turn, after two that do not count."""
RATIO_MAX: Final = 1.05
VARIABLES: Final = {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
"""A function has one core: alone, NumPy would take two."""
MEASURED: Final = """

import time

def handler(event, context):
    before = time.perf_counter()
    work()
    return time.perf_counter() - before
"""
AT_EACH_LINE: Final = """\
for _ in sys.stdin:
    print(handler(None, None), flush=True)
"""
LOOP: Final = """\
def work():
    total = 0
    for number in range(200_000):
        total += number * number % 7
    return total
"""
JSON: Final = """\
import json

ORDERS = [
    {"id": number, "name": f"customer {number}", "lines": [{"sku": line, "price": line * 1.07}
     for line in range(10)], "tags": ["new", "paid"], "total": None}
    for number in range(500)
]

def work():
    return json.loads(json.dumps(ORDERS))
"""
COMPRESSION: Final = """\
import zlib

TEXT = b"".join(b"%d,%d,%d;" % (n * 7919 % 1000, n * 104729 % 77, n) for n in range(100_000))

def work():
    return zlib.decompress(zlib.compress(TEXT, 6))
"""
IMAGE: Final = """\
import io
from PIL import Image, ImageFilter

SOURCE = io.BytesIO()
Image.radial_gradient("L").resize((1024, 768)).convert("RGB").save(SOURCE, "JPEG")

def work():
    image = Image.open(io.BytesIO(SOURCE.getvalue()))
    image = image.resize((400, 300), Image.Resampling.LANCZOS).rotate(90)
    out = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(2)).save(out, "PNG")
    return out.getvalue()
"""
NUMPY: Final = """\
import numpy

MATRIX = numpy.random.default_rng(7).random((300, 300))

def work():
    return float(numpy.linalg.solve(MATRIX, MATRIX @ MATRIX.T).sum())
"""
TEMPLATE: Final = """\
from jinja2 import Environment

PAGE = Environment(autoescape=True).from_string(
    "<table>{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>"
    "{% endfor %}</table>"
)
ROWS = [[f"<{row}, {cell}>" for cell in range(10)] for row in range(400)]

def work():
    return PAGE.render(rows=ROWS)
"""
HANDLERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "a loop": (LOOP, ()),
    "JSON": (JSON, ()),
    "compression": (COMPRESSION, ()),
    "an image (Pillow)": (IMAGE, ("PIL", "pillow.libs")),
    "linear algebra (NumPy)": (NUMPY, ("numpy", "numpy.libs")),
    "a template (Jinja)": (TEMPLATE, ("jinja2", "markupsafe")),
}
"""What it is → the handler's module, and directories of the packages that it brings."""


@dataclass(slots=True, kw_only=True)
class Work:
    """One of the handlers, under the platform and alone, and what they took."""

    what: str
    target: Target
    alone: Callable[[], float]
    inside: Series = field(default_factory=Series)
    bare: Series = field(default_factory=Series)
    ratios: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """A round: calls in turn, the first of which do not count."""
        with Connection(self.target) as connection:
            pairs = [(_seconds(connection.call()), self.alone()) for _ in range(TIMES + 2)][2:]
        self.inside.add([ours for ours, _ in pairs])
        self.bare.add([others for _, others in pairs])
        self.ratios += [ours / others for ours, others in pairs]

    def row(self) -> Row:
        ratio = statistics.median(self.ratios)  # Of neighbours in time.
        return Row(
            number="19",
            metric=f"the handler's own time, {self.what}",
            budget="within 5 % of a bare loop",
            ours=f"{pair(self.inside, milliseconds)}, {ratio - 1:+.1%}",
            inside=ratio <= RATIO_MAX,
            limit=pair(self.bare, milliseconds),
        )


def handler_time(bench: Bench) -> list[Row]:
    """Each round measures all: one alone takes hundredths of a second, a host's moments longer.

    On one processor, the same for both: what one virtual processor lacks beside another is no
    platform's doing.
    """
    with ExitStack() as stack:
        stack.enter_context(bench.placed(LAMPYR, Placing.ONE_CORE))
        works = [_deployed(bench, stack, f"real{n}", what) for n, what in enumerate(HANDLERS)]
        for _ in range(bench.rounds):
            for work in works:
                work.measure()
    return [work.row() for work in works]


def _deployed(bench: Bench, stack: ExitStack, name: str, what: str) -> Work:
    source, packages = HANDLERS[what]
    files: dict[str, str | bytes] = {"app.py": source + MEASURED}
    for package in packages:
        files |= _files(package)
    api = functions.api(bench.servers[LAMPYR].port)
    functions.create(
        api, name, functions.package(files), runtime=bench.runtime, variables=VARIABLES
    )
    alone = stack.enter_context(_alone(_interpreter(bench.runtime), source + MEASURED))
    return Work(what=what, target=bench.target(LAMPYR, name, b"null"), alone=alone)


def _seconds(answer: bytes) -> float:
    return float(answer.rpartition(b"\r\n\r\n")[2])


@contextmanager
def _alone(interpreter: str, module: str) -> Iterator[Callable[[], float]]:
    """The handler in a process of its own: a call of it, in turn with the platform's."""
    process = subprocess.Popen(
        [interpreter, "-c", f"{module}\nimport sys\n{AT_EACH_LINE}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**VARIABLES, "PYTHONPATH": str(_site())},
    )
    with process:
        ask, answer = process.stdin, process.stdout
        if ask is None or answer is None:
            raise RuntimeError("no pipes to the handler")

        def call() -> float:
            ask.write("\n")
            ask.flush()
            return float(answer.readline())

        yield call
        ask.close()


def _site() -> Path:
    """Where the packages are that handlers import, of the release that functions run on."""
    release = f"python3.{sys.version_info.minor}"
    return ENVIRONMENT / "python" / "lib" / release / "site-packages"


def _files(package: str) -> dict[str, str | bytes]:
    directory = _site() / package
    if not directory.is_dir():
        raise FileNotFoundError(f"{package} could not be had from PyPI")
    return {
        str(file.relative_to(_site())): file.read_bytes()
        for file in sorted(directory.rglob("*"))
        if file.is_file() and not {"__pycache__", "tests"} & {*file.parts}
    }


def _interpreter(runtime: str) -> str:
    """What Lampyr runs the functions of a runtime on."""
    program = str(Path(sys.executable).with_name("lampyr"))
    done = subprocess.run([program, "runtimes", "--json"], capture_output=True, check=True)
    paths = {found["name"]: found["path"] for found in json.loads(done.stdout)}
    return str(paths[runtime])
