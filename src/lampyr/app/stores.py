"""Which driver stands behind the store."""

from lampyr.settings import Settings
from lampyr.store.base import StoreError
from lampyr.store.postgresql import SCHEMES, PostgresqlStore, open_postgresql
from lampyr.store.sqlite import SqliteStore, open_store


async def open_configured_store(settings: Settings) -> SqliteStore | PostgresqlStore:
    if settings.database == "sqlite":
        return await open_store(settings.data_dir)
    if not settings.database.startswith(SCHEMES):
        raise StoreError("the setting database must be 'sqlite' or begin with postgresql://")
    return await open_postgresql(settings.database, settings.data_dir)
