"""The composition root: settings become drivers, services and a server."""

from lampyr.app.root import open_lampyr, run

__all__ = ["open_lampyr", "run"]
