"""External extensions, which a layer may bring."""

from collections.abc import Iterable
from pathlib import Path


def extensions_in(layers: Iterable[Path]) -> list[str]:
    """Names of the external extensions that layers bring, which AWS would start. Blocks."""
    directories = [path / "extensions" for path in layers]
    return sorted(
        {
            path.name
            for directory in directories
            if directory.is_dir()
            for path in directory.iterdir()
            if not path.is_dir()
        }
    )
