"""Java's regular expressions, read as Python's."""

import pytest

from lampyr.api.patterns import compile_pattern
from lampyr.api.spec import service_model

MODEL = service_model()
PATTERNS = sorted({p for n in MODEL.shape_names if (p := MODEL.shape(n).pattern) is not None})


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_of_the_model_is_understood(pattern: str) -> None:
    assert compile_pattern(pattern).pattern


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (r"\d+", "12", True),
        (r"\d+", "١٢", False),
        (r".*", "a b", True),
        (r".*", "a\nb", False),
        (r".*", "a\u2028b", False),
        (r"[\s\S]*", "a\nb", True),
        (r"[.]", "x", False),
        (r"\.", "x", False),
        (r"[]a.]+", "].", True),
        (r"[a-zA-Z0-9-_]+", "a-_9", True),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "Größe Ⅷ ½ 漢 _.:/=+-@\u3000", True),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "a!", False),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "a\tb", False),
        (r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)", "12", False),
        (r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)", "1a", True),
        (r"[0-9A-Za-z\.\-_]*(?<!\.)", "bucket.", False),
    ],
)
def test_what_fits(pattern: str, text: str, fits: bool) -> None:
    assert (compile_pattern(pattern).fullmatch(text) is not None) is fits


@pytest.mark.parametrize("pattern", [r"\p{Lu}", r"[\p{L}\p{Z}\p{N}_\d]", r"\R", r"a++", "[a&&b]"])
def test_what_is_not_known_to_mean_the_same_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no translation"):
        compile_pattern(pattern)
