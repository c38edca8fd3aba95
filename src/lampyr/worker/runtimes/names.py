"""The names of Lambda's runtimes, and what each asks of the host.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Language(StrEnum):
    PYTHON = "python"
    NODE = "nodejs"
    JAVA = "java"
    NONE = "provided"
    """OS-only: the function brings its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    name: str
    language: Language
    release: str = ""
    """The release line that has to match exactly: `3.12` of Python, `22` of Node.js."""


def _all() -> Mapping[str, Wanted]:
    wanted = [
        *(
            Wanted(name=f"python{release}", language=Language.PYTHON, release=release)
            for release in ("3.10", "3.11", "3.12", "3.13", "3.14")
        ),
        *(
            Wanted(name=f"nodejs{release}.x", language=Language.NODE, release=release)
            for release in ("20", "22", "24")
        ),
        *(
            Wanted(name=f"java{release}", language=Language.JAVA, release=release)
            for release in ("11", "17", "21", "25")
        ),
        *(
            Wanted(name=name, language=Language.NONE)
            for name in ("provided.al2", "provided.al2023")
        ),
    ]
    return MappingProxyType({item.name: item for item in wanted})


WANTED: Final = _all()


def install_command(name: str) -> str:
    return f"lampyr runtimes install {name}"
