"""Row 19: handlers that do what functions do, and the same code in a bare loop.

Each handler measures itself. Beside it the very same interpreter runs the very same file with the
very same packages, alone: what is slower under the platform is the platform's doing. Written after
the kinds of work in FunctionBench (https://github.com/kmu-bigdata/serverless-faas-workbench).
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench import functions
from bench.base import LAMPYR, Bench, pair
from bench.client import Connection, Series
from bench.results import Row, milliseconds
from bench.rivals import ENVIRONMENT

TIMES: Final = 15
"""Calls a round, after two that do not count."""
VARIABLES: Final = {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
"""A function has one core: alone, NumPy would take two."""
MEASURED: Final = """

import time

def handler(event, context):
    before = time.perf_counter()
    work()
    return time.perf_counter() - before
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


def handler_time(bench: Bench) -> list[Row]:
    return [
        _row(bench, f"real{number}", what, *HANDLERS[what]) for number, what in enumerate(HANDLERS)
    ]


def _row(bench: Bench, name: str, what: str, source: str, packages: tuple[str, ...]) -> Row:
    files: dict[str, str | bytes] = {"app.py": source + MEASURED}
    for package in packages:
        files |= _files(package)
    api = functions.api(bench.servers[LAMPYR].port)
    functions.create(
        api, name, functions.package(files), runtime=bench.runtime, variables=VARIABLES
    )
    script = f"{source}{MEASURED}\nfor _ in range({TIMES + 2}):\n    print(handler(None, None))\n"
    interpreter = _interpreter(bench.runtime)
    inside, bare = Series(), Series()
    for _ in range(bench.rounds):
        with Connection(bench.target(LAMPYR, name, b"null")) as connection:
            answers = [connection.call() for _ in range(TIMES + 2)]
        inside.add([float(answer.rpartition(b"\r\n\r\n")[2]) for answer in answers[2:]])
        done = subprocess.run(
            [interpreter, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**VARIABLES, "PYTHONPATH": str(_site())},
        )
        bare.add([float(line) for line in done.stdout.split()[2:]])
    return Row(
        number="19",
        metric=f"the handler's own time, {what}",
        budget="within 5 % of a bare loop",
        ours=f"{pair(inside, milliseconds)}, {inside.p50 / bare.p50 - 1:+.1%}",
        inside=inside.p50 <= bare.p50 * 1.05,
        limit=pair(bare, milliseconds),
    )


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
