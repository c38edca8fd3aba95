"""Lambda's quotas, each once.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * 1024
SNAPSHOTS_MAX: Final = 32
"""Versions with SnapStart that are kept initialised at once, on one host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    concurrent_executions: int = 1_000
    unreserved_concurrency_min: int = 100
    code_bytes_zipped: int = 50 * MIB
    code_bytes_unzipped: int = 250 * MIB
    code_bytes_total: int = 75 * 1024 * MIB
    code_entries_max: int = 100_000
    """Entries of one zip; Lampyr's own bound against archives made to exhaust inodes."""
    environment_bytes: int = 4 * KIB
    function_name_characters: int = 64
    layers: int = 5
    """Of one function."""
    log_tail_bytes: int = 4 * KIB
    memory_mb_min: int = 128
    memory_mb_max: int = 10_240
    memory_mb_per_cpu: int = 1_769
    payload_bytes_sync: int = 6 * MIB
    payload_bytes_async: int = 1 * MIB
    payload_bytes_response: int = 6 * MIB
    timeout_seconds_max: int = 900
    tmp_mb_min: int = 512
    tmp_mb_max: int = 10_240
    init_seconds: float = 10.0
    processes: int = 1_024
    files: int = 1_024
    tags: int = 50
    filters: int = 5
    """Of one event source mapping."""
    aliases: int = 10_000
    """Of one function; Lampyr's own bound, as AWS names none."""


DEFAULT_LIMITS: Final = Limits()
