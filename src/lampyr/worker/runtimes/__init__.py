"""The managed runtimes: which are on this host, at which exact versions, and how each boots."""

from lampyr.worker.runtimes.catalog import RuntimeCatalog
from lampyr.worker.runtimes.model import (
    InvalidEntrypointError,
    Runtime,
    RuntimeInstallError,
    RuntimeMissingError,
    RuntimeStatus,
)

__all__ = [
    "InvalidEntrypointError",
    "Runtime",
    "RuntimeCatalog",
    "RuntimeInstallError",
    "RuntimeMissingError",
    "RuntimeStatus",
]
