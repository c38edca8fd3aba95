"""Bring a database to the present schema with Alembic; imported only when one is behind."""

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from sqlalchemy import Connection


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(connection: "Connection") -> None:
    """Run every step that is missing."""
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
