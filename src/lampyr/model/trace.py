"""Trace headers: `Root=…;Parent=…;Sampled=…`, which pass from who calls to who is called.

https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""


def new_trace(now: int, dice: int) -> str:
    """A trace that begins here, and is not sampled."""
    root, parent = dice >> 64, dice & 0xFFFFFFFFFFFFFFFF
    return f"Root=1-{now:08x}-{root:024x};Parent={parent:016x};Sampled=0"


def complete_trace(given: str | None, now: int, dice: int) -> str:
    """A trace header with all three parts. `now`: seconds; `dice`: 160 random bits.

    https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    parts = [part for part in (given or "").split(";") if part]
    if not any(part.startswith("Root=") for part in parts):
        parts.insert(0, f"Root=1-{now:08x}-{dice >> 64:024x}")
    if not any(part.startswith("Parent=") for part in parts):
        parts.insert(1, f"Parent={dice & 0xFFFFFFFFFFFFFFFF:016x}")
    if not any(part.startswith("Sampled=") for part in parts):
        parts.append("Sampled=0")
    return ";".join(parts)
