"""The tables, for SQLAlchemy Core. `schema.sql` is the same for a new SQLite database."""

from typing import Final

from sqlalchemy import Column, Integer, MetaData, PrimaryKeyConstraint, Table, Text

METADATA: Final = MetaData()

FUNCTIONS: Final = Table(
    "functions",
    METADATA,
    Column("account_id", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("account_id", "region", "name"),
)

VERSIONS: Final = Table(
    "function_versions",
    METADATA,
    Column("account_id", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("account_id", "region", "name", "number"),
)

RESOURCES: Final = Table(
    "resources",
    METADATA,
    Column("kind", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("kind", "account_id", "region", "id"),
)
"""Everything else that a table of `lampyr.store.kinds` holds."""
