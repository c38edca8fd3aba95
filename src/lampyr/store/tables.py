"""The tables, for SQLAlchemy Core. `schema.sql` is the same for a new SQLite database."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

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

EVENTS: Final = Table(
    "events",
    METADATA,
    # A number that SQLite keeps the row by: found and deleted without another index.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    Column("account_id", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("qualifier", Text),
    Column("accepted", Double, nullable=False),
    Column("due", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("setbacks", Integer, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("trace_header", Text, nullable=False),
    Column("client_context", Text),
    Column("tenant_id", Text),
    Column("outcome", Text),
    PrimaryKeyConstraint("id"),
)
"""Asynchronous invocations that were accepted and are not done."""
