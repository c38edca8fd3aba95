"""What a function of package type Image says of its container image."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What goes before the image's own configuration; None and empty: the image's own."""

    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str | None = None
